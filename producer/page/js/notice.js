/** The notice: the problem, the time of the next retry, and a button for the user's next step. */
import { element } from "./dom.js";
import { t } from "./i18n.js";
import { MESSAGES } from "./messages.js";

/** Codes of temporary problems, which look less alarming. */
const CALM = new Set(["queue_full", "rate_limited", "no_worker", "timed_out", "offline"]);

/** Codes of problems that another request with the same text does not solve. */
const PERMANENT = new Set([
  ...["invalid_text", "invalid_request", "bad_request", "too_large", "too_long", "bad_link", "unknown_model", "unknown_type"],
  ...["cross_site", "host_not_allowed", "method_not_allowed", "not_found", "unsupported_media_type"],
  ...["no_worker", "timed_out_no_worker"], // the text is sent again when a worker starts
]);

export class Notice {
  /** @param {HTMLElement} container @param {() => void} onRetry @param {() => void} onKey */
  constructor(container, { onRetry, onKey }) {
    this.container = container;
    this.onRetry = onRetry;
    this.onKey = onKey;
    this.last = null;
  }

  /**
   * @param {{code: string, detail?: string, values?: Record<string, number>} | null} problem null hides the notice
   * @param {number | null} retryIn seconds until the automatic retry
   */
  show(problem, retryIn = null) {
    this.last = [problem, retryIn];
    if (!problem) {
      this.container.hidden = true;
      this.container.replaceChildren();
      this.code = null;
      return;
    }
    if (this.code !== problem.code || this.detail !== problem.detail) this.build(problem);
    // The countdown is outside of the alert, so that screen readers do not announce each second.
    this.count.textContent = retryIn === null ? "" : t("retryIn", { count: retryIn });
  }

  build({ code, detail = "", values = {} }) {
    this.code = code;
    this.detail = detail;
    const known = code in MESSAGES.en ? code : "unexpected";
    this.count = element("span", { class: "notice-count", "aria-live": "off" });
    const asksKey = code === "unauthorized";
    this.container.className = CALM.has(code) ? "notice calm" : "notice";
    this.container.hidden = false;
    this.container.dataset.code = code;
    this.container.replaceChildren(
      element("span", { class: "notice-sign", "aria-hidden": "true" }, "!"),
      element(
        "div",
        { class: "notice-words" },
        element("p", { role: "alert" }, t(known, values)),
        detail ? element("p", { class: "notice-detail" }, t("serverMessage", { detail })) : null,
        this.count,
      ),
    );
    if (PERMANENT.has(code)) return;
    const act = asksKey ? this.onKey : this.onRetry;
    this.container.append(
      element("button", { type: "button", class: "button", on: { click: act } }, t(asksKey ? "enterKey" : "retry")),
    );
  }

  /** Show the notice again after a change of the language. */
  redraw() {
    if (!this.last) return;
    this.code = null;
    this.show(...this.last);
  }
}
