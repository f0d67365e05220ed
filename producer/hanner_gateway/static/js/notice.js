/** Says what is wrong, what will happen next, and offers what the user can do. */
import { element } from "./dom.js";
import { t } from "./i18n.js";
import { WORDS } from "./words.js";

/** Things that pass by themselves look calmer than those that someone has to mend. */
const CALM = new Set(["queue_full", "rate_limited", "no_worker", "timed_out", "offline"]);

export class Notice {
  /** @param {HTMLElement} place @param {() => void} onRetry @param {() => void} onKey */
  constructor(place, { onRetry, onKey }) {
    this.place = place;
    this.onRetry = onRetry;
    this.onKey = onKey;
    this.last = null;
  }

  /**
   * @param {{code: string, detail?: string} | null} trouble null: all is well
   * @param {number | null} retryIn seconds until it is tried again by itself
   */
  show(trouble, retryIn = null) {
    this.last = [trouble, retryIn];
    if (!trouble) {
      this.place.hidden = true;
      this.place.replaceChildren();
      this.code = null;
      return;
    }
    if (this.code !== trouble.code || this.detail !== trouble.detail) this.build(trouble);
    // Only the number changes from second to second, outside of what is read aloud.
    this.count.textContent = retryIn === null ? "" : t("retryIn", { count: retryIn });
  }

  build({ code, detail = "" }) {
    this.code = code;
    this.detail = detail;
    const known = code in WORDS.en ? code : "unexpected";
    this.count = element("span", { class: "notice-count", "aria-live": "off" });
    const asksKey = code === "unauthorized";
    this.place.className = CALM.has(code) ? "notice calm" : "notice";
    this.place.hidden = false;
    this.place.dataset.code = code;
    this.place.replaceChildren(
      element("span", { class: "notice-sign", "aria-hidden": "true" }, "!"),
      element(
        "div",
        { class: "notice-words" },
        element("p", { role: "alert" }, t(known)),
        detail ? element("p", { class: "notice-detail" }, t("serverSays", { detail })) : null,
        this.count,
      ),
      code === "no_worker"
        ? null
        : element(
            "button",
            { type: "button", class: "button", on: { click: asksKey ? this.onKey : this.onRetry } },
            t(asksKey ? "enterKey" : "retry"),
          ),
    );
  }

  /** The same in the page's new language. */
  again() {
    if (!this.last) return;
    this.code = null;
    this.show(...this.last);
  }
}
