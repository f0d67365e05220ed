/** The gateway's API: requests, its errors as one class, and server-sent events that carry an API key. */

const ROOT = new URL("../../api/v1/", import.meta.url);
const KEY = "hanner.key";
const PATIENCE_MS = 60_000; // longer than the gateway's own; for a server that says nothing at all

/** Why a request has no answer. */
export class ApiError extends Error {
  /**
   * @param {string} code one of the contract's codes, of HTTP's, or `offline`
   * @param {string} detail the server's sentence, empty where there is none
   * @param {number | null} retryAfter seconds the server asks to wait
   */
  constructor(code, detail = "", retryAfter = null) {
    super(detail || code);
    this.code = code;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

const BY_STATUS = {
  400: "invalid_text",
  401: "unauthorized",
  403: "unauthorized",
  413: "too_large",
  422: "invalid_text",
  429: "rate_limited",
  502: "offline",
  503: "broker_unreachable",
  504: "timed_out",
};

export function apiKey() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

export function setApiKey(value) {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // without storage there is no key; the server will ask again
  }
}

/**
 * Entities of one text, their offsets in UTF-16 units.
 * @param {string} text
 * @param {AbortSignal} signal
 * @returns {Promise<import("./spans.js").Entity[]>}
 */
export async function extract(text, signal) {
  const answer = await request("ner", { method: "POST", json: { text, offsets: "utf16" }, signal });
  return answer.entities;
}

export const status = () => request("status", {});

/** @param {File} file @returns {Promise<{id: string, total: number}>} */
export function createJob(file, signal) {
  const body = new FormData();
  body.append("file", file, file.name);
  body.append("offsets", "utf16");
  return request("jobs", { method: "POST", body, signal });
}

export const job = (id, signal) => request(`jobs/${encodeURIComponent(id)}`, { signal });

export const revokeJob = (id) => request(`jobs/${encodeURIComponent(id)}`, { method: "DELETE" });

/**
 * The events of a job as they come; ends when the server ends them.
 * EventSource cannot send a key, so the stream is read here.
 */
export async function* jobEvents(id, signal) {
  const response = await send(`jobs/${encodeURIComponent(id)}/events`, {
    signal,
    headers: { Accept: "text/event-stream" },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = events.pop();
      for (const event of events) {
        const data = event
          .split("\n")
          .filter((line) => line.startsWith("data:"))
          .map((line) => line.slice(5).trimStart());
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  } catch (error) {
    throw signal?.aborted ? error : new ApiError("offline", String(error.message ?? error));
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function request(path, options) {
  const response = await send(path, { ...options, patience: PATIENCE_MS });
  if (response.status === 204) return null;
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("unexpected", "The answer is no JSON.");
  }
}

async function send(path, { method = "GET", json, body, signal, headers = {}, patience }) {
  const key = apiKey();
  if (key) headers = { ...headers, Authorization: `Bearer ${key}` };
  if (json !== undefined) {
    body = JSON.stringify(json);
    headers = { ...headers, "Content-Type": "application/json" };
  }
  const signals = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
  let response;
  try {
    response = await fetch(new URL(path, ROOT), {
      method,
      body,
      headers,
      signal: signals.length ? AbortSignal.any(signals) : undefined,
      cache: "no-store",
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("offline", error.name === "TimeoutError" ? "The server did not answer." : "");
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response) {
  let told = {};
  try {
    told = await response.json();
  } catch {
    // a proxy's page, say: the status has to do
  }
  const code = BY_STATUS[response.status] ?? "unexpected";
  const detail = typeof told.detail === "string" ? told.detail : "";
  return new ApiError(typeof told.code === "string" ? told.code : code, detail, seconds(response));
}

/** Retry-After in seconds: it may be a number or a date. */
function seconds(response) {
  const told = response.headers.get("Retry-After");
  if (!told) return null;
  const value = /^\d+$/.test(told) ? Number(told) : (Date.parse(told) - Date.now()) / 1000;
  return Number.isFinite(value) ? Math.max(1, Math.ceil(value)) : null;
}
