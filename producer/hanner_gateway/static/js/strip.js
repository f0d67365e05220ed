/** The strip that tells how the service is now: queue, batches, latency, workers. */
import { ApiError, status } from "./api.js";
import { number, t } from "./i18n.js";

const EVERY_MS = 2000;
const AFTER_FAILURE_MS = 6000;

export class Strip {
  /**
   * @param {Record<"state" | "queue" | "batch" | "latency" | "answer" | "model", HTMLElement>} cells
   * @param {(known: {workers: number | null}) => void} onStatus called when it is known whether a worker runs
   */
  constructor(cells, onStatus) {
    this.cells = cells;
    this.onStatus = onStatus;
    this.status = null;
    this.answerMs = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.look()));
    this.look();
  }

  pause() {
    clearTimeout(this.timer);
  }

  async look() {
    clearTimeout(this.timer);
    let wait = EVERY_MS;
    try {
      this.status = await status();
    } catch (error) {
      this.status = null;
      if (!(error instanceof ApiError)) throw error;
      wait = Math.max(AFTER_FAILURE_MS, (error.retryAfter ?? 0) * 1000);
    }
    this.draw();
    this.onStatus({ workers: this.status ? this.status.workers.length : null });
    if (!document.hidden) this.timer = setTimeout(() => this.look(), wait);
  }

  /** How long this page waited for its last answer. */
  answered(ms) {
    this.answerMs = ms;
    this.draw();
  }

  draw() {
    const { cells, status: now } = this;
    const workers = now?.workers ?? [];
    const processes = workers.reduce((sum, worker) => sum + worker.processes, 0);
    cells.state.parentElement.dataset.state = !now ? "unknown" : workers.length ? "up" : "down";
    cells.state.textContent = now ? number(processes) : t("stale");
    cells.queue.textContent = now ? t("textsUnit", { count: now.queue.depth }) : t("unknown");
    cells.batch.textContent = amount(mean(workers, "batch_texts"), (value) => number(value, 1));
    cells.latency.textContent = amount(mean(workers, "latency_ms"), duration);
    cells.answer.textContent = amount(this.answerMs, duration);
    const models = [...new Set(workers.map((worker) => worker.model))];
    cells.model.textContent = models.length ? models.map((model) => model.split("@")[0]).join(", ") : t("unknown");
    cells.model.title = models.join(", ");
  }
}

/** The mean over workers, each counted by how much it does; null where none has worked yet. */
function mean(workers, name) {
  let sum = 0;
  let weights = 0;
  for (const worker of workers) {
    if (!worker[name]) continue;
    const weight = worker.rate || 0.001;
    sum += worker[name] * weight;
    weights += weight;
  }
  return weights ? sum / weights : null;
}

const amount = (value, say) => (value === null ? t("unknown") : say(value));

export function duration(ms) {
  return ms >= 10_000 ? t("seconds", { count: number(ms / 1000, 1) }) : t("ms", { count: number(ms, ms < 10 ? 1 : 0) });
}
