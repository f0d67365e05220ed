/** The page's language, and translation into it. */
import { MESSAGES } from "./messages.js";

const STORAGE_KEY = "hanner.language";
const listeners = new Set();
let current = storedLanguage() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function storedLanguage() {
  try {
    const value = localStorage.getItem(STORAGE_KEY);
    return value in MESSAGES ? value : null;
  } catch {
    return null; // storage may be disabled
  }
}

/** @returns {"zh" | "en"} */
export const language = () => current;

/** Change the language, now and for later visits. */
export function setLanguage(value) {
  current = value;
  try {
    localStorage.setItem(STORAGE_KEY, value);
  } catch {
    // without storage the choice lasts for this visit
  }
  translate();
  for (const listener of listeners) listener();
}

/** Call `listener` after each change of the language. */
export const onLanguage = (listener) => listeners.add(listener);

/**
 * Return a message in the current language, with `{name}` replaced.
 * @param {string} key of messages.js
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const messages = MESSAGES[current];
  const chosen = values.count === 1 && `${key}.one` in messages ? messages[`${key}.one`] : messages[key];
  if (chosen === undefined) throw new Error(`no message ${key}`);
  return chosen.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

/** Return a number formatted in the current language. */
export const number = (value, digits = 0) =>
  value.toLocaleString(current === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: digits });

/** Translate all elements that have a `data-t…` attribute. */
export function translate(root = document) {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
