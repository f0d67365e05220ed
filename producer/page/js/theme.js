/** The light and the dark theme: as the system asks, or as the user chose with the button. */
import { t } from "./i18n.js";
import { forever, read, write } from "./storage.js";

const STORAGE_KEY = "hanner.theme";
const LIGHT = "(prefers-color-scheme: light)";

const system = () => (matchMedia(LIGHT).matches ? "light" : "dark");
const chosen = () => document.documentElement.dataset.theme ?? system();

/** Apply the choice of an earlier visit. */
export function applyTheme() {
  const stored = read(forever, STORAGE_KEY);
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
}

/** The button that switches the theme. */
export class ThemeButton {
  /** @param {HTMLButtonElement} button */
  constructor(button) {
    this.button = button;
    button.addEventListener("click", () => {
      const next = chosen() === "light" ? "dark" : "light";
      document.documentElement.dataset.theme = next;
      write(forever, STORAGE_KEY, next === system() ? null : next); // otherwise it follows the system again
      this.draw();
    });
    matchMedia(LIGHT).addEventListener("change", () => this.draw());
  }

  draw() {
    const label = t(chosen() === "light" ? "toDark" : "toLight");
    this.button.textContent = chosen() === "light" ? "☾" : "☀\ufe0e";
    this.button.title = label;
    this.button.setAttribute("aria-label", label);
  }
}
