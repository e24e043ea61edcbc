/**
 * A trace of the core as lines of JSON: what it started from, then each event with the outputs it gave. Same state and
 * same event give the same outputs, so a trace can be held against the core again (`Replay.ts`).
 *
 * ```
 * {"start":2,"config":{…},"recovered":{…}}
 * {"event":{"_tag":"Tick","count":5},"outputs":[…]}
 * {"offer":{"from":2,"point":{…},"term":3}}
 * ```
 *
 * Bytes are `{"$bytes":"BASE64"}`. What only a cache of the driver holds is left out.
 */
import type { Config } from "../../raft/Config.ts"
import type { Event } from "../../raft/Event.ts"
import type { Output } from "../../raft/Output.ts"
import type { Recovered } from "../../raft/Recovered.ts"
import type { LogPoint, NodeId, Term } from "../../raft/Types.ts"

/** The format of a trace, and the oldest that can be read. In format 1 each tick has a line of its own. */
const format = 2
const oldestFormat = 1

/** A snapshot that a peer asked to send: the core is asked about it, and remembers what its sender claims. */
export interface TracedSnapshotRequest {
  readonly from: NodeId
  readonly point: LogPoint
  readonly term: Term
}

export type TraceLine =
  | { readonly _tag: "Start"; readonly config: Config; readonly recovered: Recovered }
  /** The outputs stay text: they are compared with the text of others. */
  | { readonly _tag: "Step"; readonly event: Event; readonly outputs: string }
  | { readonly _tag: "SnapshotRequest"; readonly request: TracedSnapshotRequest }

/** Fields of an entry that the driver remembers, and that consensus never looks at. */
const caches = new Set(["record", "decoded"])

function written(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  if (caches.has(key)) return undefined
  // A Buffer has turned itself into something else by now.
  const given = this[key]
  return given instanceof Uint8Array ? { $bytes: Buffer.from(given).toString("base64") } : value
}

const textOf = (value: unknown): string => JSON.stringify(value, written)

const restored = (_key: string, value: unknown): unknown =>
  typeof value === "object" && value !== null && "$bytes" in value && typeof value.$bytes === "string"
    ? new Uint8Array(Buffer.from(value.$bytes, "base64"))
    : value

export const outputsText = (outputs: ReadonlyArray<Output>): string => textOf(outputs)

export const startLine = (config: Config, recovered: Recovered): string => textOf({ start: format, config, recovered })

export const stepLine = (event: Event, outputs: ReadonlyArray<Output>): string =>
  `{"event":${textOf(event)},"outputs":${outputsText(outputs)}}`

/** The field is that of the first format, so that versions read each other's traces. */
export const snapshotRequestLine = (request: TracedSnapshotRequest): string => textOf({ offer: request })

/** A line that older versions wrote, with the words of today. Bytes are base64 there: no command holds such a field. */
const inTodaysWords = (text: string): string =>
  text.replaceAll(`"standing":"newcomer"`, `"membership":"unknown"`).replaceAll(`"standing":`, `"membership":`)
    .replaceAll(`"stampMs":`, `"timestampMs":`)

/** Reads a line; says why it is none. */
export const parseLine = (text: string): TraceLine | string => {
  let line: unknown
  try {
    line = JSON.parse(inTodaysWords(text), restored)
  } catch {
    return "is not JSON"
  }
  if (typeof line !== "object" || line === null) return "is no object"
  if ("start" in line) {
    const { start: version } = line
    if (typeof version !== "number" || version < oldestFormat || version > format) {
      return `has format ${JSON.stringify(version)}, and this version reads ${oldestFormat} to ${format}`
    }
    const { config, recovered } = line as unknown as { readonly config: Config; readonly recovered: Recovered }
    return { _tag: "Start", config, recovered }
  }
  if ("event" in line && "outputs" in line) {
    return { _tag: "Step", event: line.event as Event, outputs: outputsText(line.outputs as ReadonlyArray<Output>) }
  }
  return "offer" in line
    ? { _tag: "SnapshotRequest", request: line.offer as TracedSnapshotRequest }
    : "is neither a start nor a step"
}
