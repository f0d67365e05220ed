/** The page's two languages: which one is shown, and every sentence in it. */
import { WORDS } from "./words.js";

const STORED = "hanner.language";
const listeners = new Set();
let current = stored() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

function stored() {
  try {
    const value = localStorage.getItem(STORED);
    return value in WORDS ? value : null;
  } catch {
    return null; // storage may be forbidden
  }
}

/** @returns {"zh" | "en"} */
export const language = () => current;

/** Show the page in another language, now and on later visits. */
export function setLanguage(value) {
  current = value;
  try {
    localStorage.setItem(STORED, value);
  } catch {
    // then it holds for this visit
  }
  translate();
  for (const listener of listeners) listener();
}

/** Call `listener` whenever the language has changed. */
export const onLanguage = (listener) => listeners.add(listener);

/**
 * A sentence in the language of the page; `{name}` in it is replaced.
 * @param {string} key of words.js
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const words = WORDS[current];
  const chosen = values.count === 1 && `${key}.one` in words ? words[`${key}.one`] : words[key];
  if (chosen === undefined) throw new Error(`no words for ${key}`);
  return chosen.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : String(value ?? "");
  });
}

/** A number as it is written in the language of the page. */
export const number = (value, digits = 0) =>
  value.toLocaleString(current === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: digits });

/** Put the words of the current language into everything that names some by `data-t`. */
export function translate(root = document) {
  document.documentElement.lang = current === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) node.setAttribute("aria-label", t(node.dataset.tLabel));
  for (const node of root.querySelectorAll("[data-t-title]")) node.title = t(node.dataset.tTitle);
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}
