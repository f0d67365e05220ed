/**
 * Asks for entities while someone types: waits a moment after the last key, has one request under way at most, drops
 * stale answers, and tries again by itself where waiting helps.
 */
import { ApiError } from "./api.js";

const LEAST_WAIT_MS = 30;
const MOST_WAIT_MS = 1200;
const WORKING_SHOWN_AFTER_MS = 350; // a quick answer needs no word about the work
const FIRST_RETRY_S = 2;
const MOST_RETRY_S = 30;

/** Codes that waiting can mend. */
const PASSING = new Set(["queue_full", "rate_limited", "broker_unreachable", "offline", "timed_out", "expired", "unavailable"]);

export class Live {
  /**
   * @param {object} hooks
   * @param {(text: string, signal: AbortSignal) => Promise<object[]>} hooks.ask
   * @param {(entities: object[], text: string, ms: number) => void} hooks.onAnswer
   * @param {(state: {working: boolean, slow: boolean, error: ApiError | null, retryIn: number | null}) => void} hooks.onState
   */
  constructor({ ask, onAnswer, onState }) {
    this.ask = ask;
    this.onAnswer = onAnswer;
    this.onState = onState;
    this.text = "";
    this.asked = ""; // the text of the newest request, sent or due
    this.sequence = 0;
    this.failures = 0;
    this.msPerUnit = 0; // how long answers take lately
    this.state = { working: false, slow: false, error: null, retryIn: null };
  }

  /** The text is now this one. `held` is true while an input method composes: nothing is asked then. */
  change(text, { held = false, now = false } = {}) {
    if (text === this.asked && !now) return;
    this.text = text;
    this.asked = held ? null : text;
    this.cancel();
    if (this.state.error && !PASSING.has(this.state.error.code)) this.show({ error: null });
    if (held) return;
    if (!text.trim()) {
      this.rest();
      this.onAnswer([], text, 0);
    } else if (now || !this.countdown) {
      this.rest({ keepError: true });
      this.timer = setTimeout(() => this.send(), now ? 0 : this.wait());
    } // else the server asked to wait; the text as it is then will be sent
  }

  /** Nothing under way, nothing in the way. */
  rest({ keepError = false } = {}) {
    clearInterval(this.countdown);
    this.countdown = null;
    if (keepError) return;
    this.failures = 0;
    this.show({ working: false, slow: false, error: null, retryIn: null });
  }

  /** Ask once more, at once. */
  retry() {
    this.change(this.text, { now: true });
  }

  /** Ask at once if something that has passed now was in the way. */
  recovered() {
    if (this.state.error && PASSING.has(this.state.error.code)) this.retry();
  }

  /** Waits longer where answers take longer, so that a long text does not flood the queue. */
  wait() {
    const expected = this.msPerUnit * this.text.length;
    return Math.min(MOST_WAIT_MS, Math.max(LEAST_WAIT_MS, expected / 2));
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
    const mine = ++this.sequence;
    const controller = new AbortController();
    this.controller = controller;
    const began = performance.now();
    const slow = setTimeout(() => mine === this.sequence && this.show({ slow: true }), WORKING_SHOWN_AFTER_MS);
    this.show({ working: true });
    try {
      const entities = await this.ask(text, controller.signal);
      if (mine !== this.sequence) return;
      const ms = performance.now() - began;
      this.learn(ms, text.length);
      this.controller = null;
      this.rest();
      this.onAnswer(entities, text, ms);
    } catch (error) {
      if (mine !== this.sequence) return;
      this.controller = null;
      this.fail(error instanceof ApiError ? error : new ApiError("unexpected", String(error)));
    } finally {
      clearTimeout(slow);
      if (mine !== this.sequence && !this.controller) this.show({ working: false, slow: false });
    }
  }

  learn(ms, units) {
    const perUnit = ms / Math.max(units, 200); // a short text says little about long ones
    this.msPerUnit = this.msPerUnit ? 0.7 * this.msPerUnit + 0.3 * perUnit : perUnit;
  }

  fail(error) {
    this.failures++;
    this.show({ working: false, slow: false, error, retryIn: null });
    if (!PASSING.has(error.code)) return;
    let left = error.retryAfter ?? Math.min(MOST_RETRY_S, FIRST_RETRY_S * 2 ** (this.failures - 1));
    this.show({ retryIn: left });
    clearInterval(this.countdown);
    this.countdown = setInterval(() => {
      left--;
      if (left > 0) this.show({ retryIn: left });
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
