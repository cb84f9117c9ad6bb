"""`/docs`: the OpenAPI document as a page. It loads nothing from elsewhere, so it works without the internet.

Where a token is needed, the page asks for it and keeps it in memory only.
"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Gateway API</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  section { border: 1px solid #8886; border-radius: .5rem; padding: .5rem 1rem; margin: 1rem 0; }
  h2 { font-size: 1.1rem; margin: .3rem 0; } code, pre, h2 { font-family: ui-monospace, monospace; }
  #about { white-space: pre-wrap; }
  pre { overflow: auto; max-height: 24rem; background: #8881; padding: .5rem; }
  input { font: inherit; width: 18rem; } td { padding-right: 1rem; vertical-align: top; }
</style>
<form hidden><input type="password" aria-label="token" placeholder="token" autocomplete="off"> <button>Use it</button></form>
<h1></h1><p id="about"></p><p><a href="openapi.json">openapi.json</a></p><main></main>
<script>
  const add = (parent, tag, text) => {
    const node = parent.appendChild(document.createElement(tag));
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const form = document.querySelector("form");
  const headers = () => form.hidden ? {} : { Authorization: "Bearer " + form.querySelector("input").value };
  const show = (schema) => JSON.stringify(schema, null, 2);

  function parameters(box, operation) {
    const fields = {};
    const table = add(box, "table");
    for (const parameter of operation.parameters ?? []) {
      const row = add(table, "tr");
      add(row, "td", parameter.name + (parameter.required ? " *" : ""));
      fields[parameter.name] = add(add(row, "td"), "input");
      fields[parameter.name].setAttribute("aria-label", parameter.name);
      add(row, "td", parameter.description ?? "");
    }
    return fields;
  }

  async function send(path, operation, fields, output) {
    const query = new URLSearchParams();
    let target = path;
    for (const parameter of operation.parameters ?? []) {
      const value = fields[parameter.name].value;
      if (parameter.in === "path") target = target.replace("{" + parameter.name + "}", encodeURIComponent(value));
      else if (value) query.append(parameter.name, value);
    }
    const response = await fetch(target + (query.size ? "?" + query : ""), { headers: headers() });
    const text = await response.text();
    let body = text;
    try { body = show(JSON.parse(text)); } catch { /* not JSON: shown as it is */ }
    output.textContent = response.status + " " + response.statusText + "\\n" + body;
  }

  function describe(path, method, operation) {
    const box = add(document.querySelector("main"), "section");
    add(box, "h2", method.toUpperCase() + " " + path);
    add(box, "p", [operation.summary, operation.description].filter(Boolean).join(". "));
    const fields = parameters(box, operation);
    for (const [status, response] of Object.entries(operation.responses)) {
      add(box, "div", status + ": " + response.description);
    }
    const button = add(box, "button", "Try");
    const output = add(box, "pre");
    output.hidden = true;
    button.onclick = () => { output.hidden = false; send(path, operation, fields, output); };
  }

  async function load() {
    const response = await fetch("openapi.json", { headers: headers() });
    if (response.status === 401) {
      document.querySelector("#about").textContent = (await response.json()).error.message;
      form.hidden = false;
      return;
    }
    const api = await response.json();
    document.querySelector("main").replaceChildren();
    document.querySelector("h1").textContent = api.info.title + " " + api.info.version;
    document.querySelector("#about").textContent = api.info.description ?? "";
    for (const [path, methods] of Object.entries(api.paths)) {
      for (const [method, operation] of Object.entries(methods)) describe(path, method, operation);
    }
    const schemas = add(add(document.querySelector("main"), "details"), "pre", show(api.components?.schemas ?? {}));
    add(schemas.parentNode, "summary", "Schemas");
  }

  form.onsubmit = (event) => { event.preventDefault(); load(); };
  load();
</script>
</html>
"""


def router() -> APIRouter:
    """The page."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_PAGE)

    return routes
