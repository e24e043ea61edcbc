/** A violation as one self-contained HTML page: a row for each client, a bar for each operation, what did not fit in red. */
import type { Violation } from "./Checker.ts"
import { describeOperation } from "./Checker.ts"
import type { Operation } from "./History.ts"

/** Operations shown before and after the place where the search got stuck. */
const shown = 150

const rowHeight = 26
const labelWidth = 90
const width = 2_400

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

export const renderTimeline = (violation: Violation, title: string): string => {
  const { keys, longest, operations, state, stuck } = violation
  const firstStuck = Math.min(...stuck.map(({ call }) => call))
  const middle = operations.findIndex(({ call }) => call >= firstStuck)
  const window = operations.slice(Math.max(0, middle - shown), middle + shown)
  const clients = [...new Set(window.map(({ client }) => client))].sort()
  const firstMs = Math.min(...window.map(({ callMs }) => callMs))
  const lastMs = Math.max(...window.map(({ endMs }) => endMs))
  const x = (ms: number) => labelWidth + (ms - firstMs) / Math.max(1e-6, lastMs - firstMs) * (width - labelWidth)
  const places = new Map(longest.map((operation, place) => [operation, place + 1]))
  const stuckOnes = new Set(stuck)

  const bar = (operation: Operation): string => {
    const y = clients.indexOf(operation.client) * rowHeight
    const unknown = operation.outcome._tag === "Unknown"
    const left = x(operation.callMs)
    const right = unknown ? width : Math.max(left + 3, x(operation.endMs))
    const kind = stuckOnes.has(operation) ? "stuck" : unknown ? "unknown" : places.has(operation) ? "taken" : "later"
    const place = places.get(operation)
    const text = `${describeOperation(operation)}\n${operation.callMs.toFixed(2)} to ${
      unknown ? "?" : operation.endMs.toFixed(2)
    } ms${place === undefined ? "" : `\nplace ${place} of the longest order`}`
    return `<g class="${kind}"><title>${escape(text)}</title><rect x="${left.toFixed(1)}" y="${y + 3}" width="${
      (right - left).toFixed(1)
    }" height="${rowHeight - 8}" rx="3"/><text x="${(left + 3).toFixed(1)}" y="${y + 16}">${place ?? ""} ${
      escape(operation.action.name.split(" ")[0] ?? "")
    }</text></g>`
  }

  const rows = clients.map((client, row) =>
    `<text class="client" x="4" y="${row * rowHeight + 17}">${escape(client)}</text>`
  )
  const list = operations.map((operation) => {
    const place = places.get(operation)
    const kind = stuckOnes.has(operation) ? "stuck" : ""
    return `<tr class="${kind}"><td>${place ?? ""}</td><td>${operation.callMs.toFixed(2)}</td><td>${
      operation.outcome._tag === "Unknown" ? "?" : operation.endMs.toFixed(2)
    }</td><td>${escape(describeOperation(operation))}</td></tr>`
  })
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>${escape(title)}</title><style>
body { font: 13px system-ui, sans-serif; margin: 1.5rem; }
.scroll { overflow-x: auto; border: 1px solid #ccc; }
text { font-size: 10px; pointer-events: none; } .client { font-weight: bold; }
.taken rect { fill: #b7d7b0; } .later rect { fill: #ddd; } .unknown rect { fill: #f3e2a9; } .stuck rect { fill: #e57368; }
table { border-collapse: collapse; margin-top: 1rem; } td, th { padding: 1px 8px; text-align: left; font-family: monospace; }
tr.stuck td { background: #f6c9c4; }
</style></head><body>
<h1>${escape(title)}</h1>
<p>Keys: ${
    escape(keys.join(", "))
  }. ${longest.length} of ${operations.length} operations have an order (their places are the numbers);
after them the values are <b>${
    escape(state.map((value) => value ?? "absent").join(", "))
  }</b>, and none of the red ones fits.
Green: in the order. Grey: after the place where it ends. Yellow: the outcome is unknown. Point at a bar for all of it.</p>
<div class="scroll"><svg width="${width}" height="${clients.length * rowHeight + 8}">
${rows.join("\n")}
${window.map(bar).join("\n")}
</svg></div>
<table><tr><th>place</th><th>call ms</th><th>end ms</th><th>operation</th></tr>
${list.join("\n")}
</table></body></html>
`
}
