/** The page's language, and translation into it. */
import { MESSAGES } from "./messages.js";
import { forever, read, write } from "./storage.js";

const STORAGE_KEY = "hanner.language";
const listeners = new Set();
/** Language → the tags of its texts and of its number formats. */
const TAGS = { en: ["en", "en-GB"], zh: ["zh-CN", "zh-CN"], "zh-Hant": ["zh-TW", "zh-TW"] };
let current = storedLanguage() ?? browserLanguage();

function storedLanguage() {
  const value = read(forever, STORAGE_KEY);
  return value in TAGS ? value : null;
}

function browserLanguage() {
  if (/^zh-(hant|tw|hk|mo)/i.test(navigator.language)) return "zh-Hant";
  return /^zh/i.test(navigator.language) ? "zh" : "en";
}

/** @returns {"en" | "zh" | "zh-Hant"} */
export const language = () => current;

/** Change the language, now and for later visits. */
export function setLanguage(value) {
  current = value;
  write(forever, STORAGE_KEY, value);
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
  value.toLocaleString(TAGS[current][1], { maximumFractionDigits: digits });

/** Translate all elements that have a `data-t…` attribute. */
export function translate(root = document) {
  [document.documentElement.lang] = TAGS[current];
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
