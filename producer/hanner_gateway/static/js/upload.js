/** A whole file through the service: choose or drop it, see how far it is, stop it, get a table of results. */
import { ApiError, createJob, job, jobEvents, revokeJob } from "./api.js";
import { byId } from "./dom.js";
import { t } from "./i18n.js";
import { FileFault, textsOf } from "./lines.js";
import { WORDS } from "./words.js";

const FOLLOW_TRIES = 8; // times in a row that a lost stream of events is taken up again
const MOST_PAUSE_MS = 10_000;

export class Upload {
  /**
   * @param {import("./table.js").Table} table
   * @param {(error: ApiError) => void} onKeyWanted
   */
  constructor(table, onKeyWanted) {
    this.table = table;
    this.onKeyWanted = onKeyWanted;
    this.message = byId("file-message");
    this.bar = byId("file-progress");
    this.eta = byId("file-eta");
    this.stopButton = byId("file-stop");
    this.input = byId("file-input");
    byId("file-choose").addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => {
      const [file] = this.input.files;
      if (file) this.start(file);
      this.input.value = "";
    });
    this.stopButton.addEventListener("click", () => this.stop());
    this.takeDrops();
  }

  takeDrops() {
    const zone = byId("file");
    let depth = 0; // dragenter and dragleave fire for every child
    const holdsFile = (event) => event.dataTransfer?.types.includes("Files");
    const over = (by) => {
      depth = Math.max(0, depth + by);
      zone.classList.toggle("dropping", depth > 0);
    };
    addEventListener("dragenter", (event) => holdsFile(event) && over(1));
    addEventListener("dragleave", (event) => holdsFile(event) && over(-1));
    addEventListener("dragover", (event) => holdsFile(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!holdsFile(event)) return;
      event.preventDefault();
      over(-depth);
      const [file] = event.dataTransfer.files;
      if (file) this.start(file);
    });
  }

  async start(file) {
    if (this.controller) await this.stop();
    const controller = new AbortController();
    this.controller = controller;
    const { signal } = controller;
    this.table.hide();
    byId("file").scrollIntoView({ block: "nearest" });
    try {
      const texts = textsOf(file.name, await file.arrayBuffer());
      this.say("uploading", { name: file.name });
      this.busy(true);
      const created = await createJob(file, signal);
      this.id = created.id;
      this.done = { done: 0, total: created.total };
      const ended = await this.follow(created, signal);
      if (ended.state === "revoked") throw new FileFault("stopped", this.done);
      const { documents } = await job(created.id, signal);
      if (documents.length !== texts.length) throw new FileFault("mismatch");
      const rows = documents.map(({ entities, error }, index) => ({ text: texts[index], entities: entities ?? [], error }));
      this.table.show(rows, file.name);
      const names = rows.reduce((sum, row) => sum + row.entities.length, 0);
      this.say("finished", { name: file.name, texts: rows.length, names, failed: rows.filter((row) => row.error).length });
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    } finally {
      if (this.controller === controller) {
        this.controller = null;
        this.busy(false);
      }
    }
  }

  /** Follow a job to its end by its events; a stream that breaks is taken up again. Returns the last event. */
  async follow({ id, total }, signal) {
    const began = performance.now();
    let failures = 0;
    for (;;) {
      try {
        for await (const event of jobEvents(id, signal)) {
          failures = 0;
          this.done = { done: event.done, total: event.total ?? total };
          this.progress(event.done, event.total ?? total, began);
          if (event.state === "done" || event.state === "revoked") return event;
        }
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== "offline") throw error;
      }
      if (signal.aborted) throw new DOMException("stopped", "AbortError");
      if (++failures > FOLLOW_TRIES) throw new FileFault("jobLost");
      const pause = Math.min(MOST_PAUSE_MS, 250 * 2 ** failures);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async stop() {
    const { id, done, controller } = this;
    if (!controller) return;
    controller.abort();
    this.controller = null;
    this.busy(false);
    this.say("stopped", done ?? { done: 0, total: 0 });
    this.id = null;
    this.done = null;
    if (id) await revokeJob(id).catch(() => {}); // already over, or out of reach: then there is nothing to stop
  }

  progress(done, total, began) {
    this.bar.max = total;
    this.bar.value = done;
    this.say("progress", { done, total });
    const seconds = (performance.now() - began) / 1000;
    const left = done > 0 ? Math.ceil((seconds / done) * (total - done)) : 0;
    this.eta.textContent = seconds > 2 && left > 1 ? t("eta", { count: left }) : "";
  }

  fail(error) {
    if (error instanceof FileFault) return this.say(error.key, error.values, true);
    const { code, detail } = error instanceof ApiError ? error : { code: "unexpected", detail: String(error) };
    this.say(code in WORDS.en ? code : "unexpected", {}, true, detail);
    if (code === "unauthorized") this.onKeyWanted(error);
    return undefined;
  }

  busy(is) {
    this.bar.hidden = !is;
    this.stopButton.hidden = !is;
    this.eta.textContent = "";
    this.bar.removeAttribute("value"); // until it is known how far it is
  }

  say(key, values, wrong = false, detail = "") {
    this.said = [key, values, wrong, detail];
    this.message.textContent = t(key, values) + (detail ? ` ${t("serverSays", { detail })}` : "");
    this.message.classList.toggle("wrong", wrong);
  }

  /** The same in the page's new language. */
  again() {
    if (this.said) this.say(...this.said);
  }
}
