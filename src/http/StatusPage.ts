/** A page for people: where the node stands, without scripts or anything from elsewhere. It reloads itself. */
import { escapeHtml } from "./Html.ts"
import type { NodeStatus } from "../node/NodeStatus.ts"
import type { SnapshotProgress } from "../node/snapshot/SnapshotSender.ts"
import { version } from "../Version.ts"
import { readiness } from "./Health.ts"
import type { SectionAnswer } from "./StatusSections.ts"

/** Seconds between reloads. */
const reloadSeconds = 2

const table = (rows: ReadonlyArray<readonly [name: string, value: string | number]>): string =>
  `<table>${
    rows.map(([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(String(value))}</td></tr>`).join("")
  }</table>`

/** The only style of the page. */
export const style =
  `body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:44rem;padding:0 1rem;overflow-wrap:anywhere;}
:root{color-scheme:light dark}a{color:LinkText}
table{border-collapse:collapse;margin:1rem 0}th,td{text-align:left;padding:.2rem 1.5rem .2rem 0;vertical-align:top}
td{font-variant-numeric:tabular-nums}th{font-weight:500;opacity:.75}`

const mebibytes = ({ bytes, estimatedBytes }: SnapshotProgress): string =>
  `${(bytes / 2 ** 20).toFixed(1)} of about ${(estimatedBytes / 2 ** 20).toFixed(1)} MiB`

export const render = (
  status: NodeStatus,
  clusterId: string,
  sections: ReadonlyArray<SectionAnswer> = []
): string => {
  const { ready, reason } = readiness(status)
  const title = `FlareDB node ${status.nodeId}: ${status.role}`
  const peers = status.peers.map((peer) => {
    const match = status.matches.find((known) => known.peer === peer.peer)
    const link = peer.connected
      ? "connected"
      : `not connected${peer.lastError === undefined ? "" : `: ${peer.lastError}`}`
    const lag = match === undefined ? "" : `, ${status.lastIndex - match.match} entries behind`
    const sending = status.snapshots.sending.find((transfer) => transfer.peer === peer.peer)
    const state = sending === undefined ? "" : `, is sent the state: ${mebibytes(sending)}`
    const conflict = peer.conflict === undefined ? "" : `; ${peer.conflict}`
    return [`node ${peer.peer}`, `${link}${lag}${state}${conflict}`] as const
  })
  return `<!doctype html><html lang="en"><head><meta charset="utf-8">` +
    `<meta http-equiv="refresh" content="${reloadSeconds}">` +
    `<meta name="viewport" content="width=device-width"><title>${
      escapeHtml(title)
    }</title><style>${style}</style></head><body>` +
    `<h1>${escapeHtml(title)}</h1><p>${ready ? "Ready" : "Not ready"}: ${escapeHtml(reason)}.</p>` +
    table([
      ["cluster", clusterId],
      ["identity", status.identity ?? "not known yet"],
      ["voters", status.voters.join(", ")],
      ["term", status.term],
      ["leader", status.leader === undefined ? "none known" : `node ${status.leader}`],
      ["committed", status.commit],
      ["applied", status.applied],
      ["log", `${status.firstIndex} to ${status.lastIndex}`],
      ...(status.snapshots.receiving === undefined
        ? []
        : [["receives the state", mebibytes(status.snapshots.receiving)] as const]),
      ["version", version]
    ]) +
    (peers.length === 0 ? "" : `<h2>Peers</h2>${table(peers)}`) +
    sections.flatMap(({ tables }) => tables).map(({ rows, title }) => `<h2>${escapeHtml(title)}</h2>${table(rows)}`)
      .join(
        ""
      ) +
    `<p><a href="/">console</a> · <a href="/status">/status</a> · <a href="/metrics">/metrics</a>` +
    ` · <a href="/debug/raft">/debug/raft</a> · <a href="/readyz">/readyz</a> · <a href="/livez">/livez</a>` +
    "</p></body></html>"
}
