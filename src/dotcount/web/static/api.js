// Requests to the server of this page; an error is a sentence that can be shown as it stands.

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?", 0);
  }
  if (response.ok) return response;
  let message = `The server answered ${response.status}.`;
  try {
    message = (await response.json()).error || message;
  } catch {
    // not ours: the status says what there is to say
  }
  throw new ServerError(message, response.status);
}

export async function getJson(path, options) {
  return (await answer(path, options)).json();
}

export async function getBytes(path, options) {
  return (await answer(path, options)).arrayBuffer();
}

export async function getFile(path, message) {
  const headers = { "Content-Type": "application/json" };
  const response = await answer(path, { method: "POST", headers, body: JSON.stringify(message) });
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition") ?? "")?.[1];
  return { blob: await response.blob(), name };
}

export function sendJson(method, path, message, options) {
  const headers = { "Content-Type": "application/json" };
  return getJson(path, { method, headers, body: JSON.stringify(message), ...options });
}

export function sendFile(path, file, options) {
  const headers = { "Content-Type": "application/octet-stream" };
  return getJson(path, { method: "PUT", headers, body: file, ...options });
}

// Offer bytes for download under a name.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

// Return rows of numbers and texts as a csv file; what a spreadsheet would run as a formula gets an apostrophe in front.
export function csvBlob(rows) {
  const cell = (value) => {
    if (typeof value === "number") return String(value);
    const text = /^'*[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return new Blob(rows.map((row) => `${row.map(cell).join(",")}\n`), { type: "text/csv" });
}

// Return an element: make("button", { className: "quiet", onclick: ... }, "text", child).
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
