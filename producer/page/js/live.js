/**
 * Extraction while the user types: sends the first key after a pause at once, waits for the last of several quick ones,
 * has at most one request in flight, drops stale results, and retries errors that are temporary.
 */
import { ApiError } from "./api.js";

const MIN_DELAY_MS = 30;
const MAX_DELAY_MS = 1200;
const SLOW_AFTER_MS = 350; // faster requests show no indicator
const FIRST_RETRY_S = 2;
const MAX_RETRY_S = 30;

/** Codes of temporary errors. */
const TEMPORARY = new Set([
  ...["queue_full", "rate_limited", "broker_unreachable", "offline"],
  ...["timed_out", "expired", "unavailable", "gateway_stopping"],
]);

export class LiveExtraction {
  /**
   * @param {object} hooks
   * @param {(text: string, signal: AbortSignal) => Promise<object[]>} hooks.extract
   * @param {(entities: object[], text: string, ms: number) => void} hooks.onResult
   * @param {(state: {working: boolean, slow: boolean, error: ApiError | null, retryIn: number | null}) => void} hooks.onState
   */
  constructor({ extract, onResult, onState }) {
    this.extract = extract;
    this.onResult = onResult;
    this.onState = onState;
    this.text = "";
    this.requested = ""; // the text of the newest request, sent or scheduled
    this.sequence = 0;
    this.failures = 0;
    this.lastActive = -Infinity; // when a change was scheduled or sent
    this.msPerUnit = 0; // recent duration of requests
    this.state = { working: false, slow: false, error: null, retryIn: null };
  }

  /** Handle a changed text. While an input method composes (`composing`), nothing is sent. */
  change(text, { composing = false, now = false } = {}) {
    if (text === this.requested && !now) return;
    this.text = text;
    this.requested = composing ? null : text;
    this.cancel();
    if (this.state.error && !TEMPORARY.has(this.state.error.code)) this.show({ error: null });
    if (composing) return;
    if (!text.trim()) {
      this.reset();
      this.onResult([], text, 0);
    } else if (now || !this.countdown) {
      this.reset({ keepError: true });
      this.timer = setTimeout(() => this.send(), now ? 0 : this.delay());
      this.lastActive = performance.now();
    } // otherwise the countdown of a retry sends the current text
  }

  /** Stop the countdown and clear the state. */
  reset({ keepError = false } = {}) {
    clearInterval(this.countdown);
    this.countdown = null;
    if (keepError) return;
    this.failures = 0;
    this.show({ working: false, slow: false, error: null, retryIn: null });
  }

  /** Show why a text is not sent. */
  refuse(text, error) {
    this.text = text;
    this.requested = text;
    this.cancel();
    this.reset({ keepError: true });
    this.fail(error);
  }

  /** Send the text again now. */
  retry() {
    this.change(this.text, { now: true });
  }

  /** Send the text again if a temporary error is shown, whose cause is gone now. */
  recovered() {
    if (this.state.error && TEMPORARY.has(this.state.error.code)) this.retry();
  }

  /**
   * Return the delay before a request: none after a pause, so requests are as far apart as if each waited. It is longer
   * for slow texts, so that they do not flood the queue.
   */
  delay() {
    const expected = (this.msPerUnit * this.text.length) / 2;
    if (expected > MIN_DELAY_MS) return Math.min(MAX_DELAY_MS, expected);
    return performance.now() - this.lastActive < MIN_DELAY_MS ? MIN_DELAY_MS : 0;
  }

  cancel() {
    this.sequence++;
    clearTimeout(this.timer);
    this.timer = null;
    this.controller?.abort();
    this.controller = null;
  }

  async send() {
    this.timer = null;
    const { text } = this;
    const number = ++this.sequence;
    const controller = new AbortController();
    this.controller = controller;
    const began = performance.now();
    this.lastActive = began;
    const slow = setTimeout(() => number === this.sequence && this.show({ slow: true }), SLOW_AFTER_MS);
    this.show({ working: true });
    try {
      const entities = await this.extract(text, controller.signal);
      if (number !== this.sequence) return;
      const ms = performance.now() - began;
      this.updateSpeed(ms, text.length);
      this.controller = null;
      this.reset();
      this.onResult(entities, text, ms);
    } catch (error) {
      if (number !== this.sequence) return;
      this.controller = null;
      this.fail(error instanceof ApiError ? error : new ApiError("unexpected", String(error)));
    } finally {
      clearTimeout(slow);
      if (number !== this.sequence && !this.controller) this.show({ working: false, slow: false });
    }
  }

  updateSpeed(ms, units) {
    const perUnit = ms / Math.max(units, 200); // short texts do not predict long ones
    this.msPerUnit = this.msPerUnit ? 0.7 * this.msPerUnit + 0.3 * perUnit : perUnit;
  }

  fail(error) {
    this.failures++;
    this.show({ working: false, slow: false, error, retryIn: null });
    if (!TEMPORARY.has(error.code)) return;
    let remaining = error.retryAfter ?? Math.min(MAX_RETRY_S, FIRST_RETRY_S * 2 ** (this.failures - 1));
    this.show({ retryIn: remaining });
    clearInterval(this.countdown);
    this.countdown = setInterval(() => {
      remaining--;
      if (remaining > 0) this.show({ retryIn: remaining });
      else this.retry();
    }, 1000);
  }

  show(change) {
    const next = { ...this.state, ...change };
    if (Object.keys(next).every((name) => next[name] === this.state[name])) return;
    this.state = next;
    this.onState(next);
  }
}
