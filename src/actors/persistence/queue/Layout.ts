/**
 * Where queues keep what is theirs, and how their rows read.
 *
 * ```
 * <prefix> q/<queue>/e/<id>                   the element while `w` has its row; then, that it is completed or failed
 * <prefix> q/<queue>/h/<id>                   an element that its offer has claimed, until it is settled
 * <prefix> q/<queue>/w/r/<place>              an element that waits or is claimed: id, attempts, claim, a small copy
 * <prefix> q/<queue>/w/k/<claimer>            a claimer, on its lease: the version of its layout
 * <prefix> qc/<time>/<queue>/+<list>          ids completed at that time, for cleanup
 * <prefix> qc/<time>/<queue>/<id>             one that was completed, as a copy from SQL has it
 * <prefix> qx/<time>/<queue>/<id>             failed at that time
 * <prefix> qv                                 the version of this layout, see `QueueLayout.ts`
 * ```
 *
 * An id has one of the keys in `e` and `h`, or neither. What an offer claims for a worker of its own process is of no
 * interest to others while that process is there. So consumers do not watch `h`. When a claimer is gone, another one
 * moves what it left there to `e` and `w`.
 *
 * What consumers watch is small: `w` holds no large elements. A place sorts by the time at which its element is due,
 * then in the order in which one process offered.
 */
import { allocate } from "../../../bytes/Slab.ts"
import { briefBytesOf } from "../../../client/Entry.ts"
import { encodeName, encodeOwnPart } from "../Keys.ts"
import { utf8Text } from "../../../bytes/Utf8.ts"

/** Digits of a time in milliseconds, and of a number that grows with each place a process gives out. */
const timeDigits = 15
const countDigits = 12

/** The last time that has these digits: never, in the year 33658. */
const lastTimeMs = 10 ** timeDigits - 1

const timePart = (ms: number): string =>
  String(Math.min(Math.max(0, Math.floor(ms)), lastTimeMs)).padStart(timeDigits, "0")

/** A place in a queue; `by` tells processes apart. */
export const placeOf = (ms: number, count: number, by: string): string =>
  `${timePart(ms)}${String(count).padStart(countDigits, "0")}${by}`

/** When the element of a place is due. */
export const dueMsOfPlace = (place: string): number => Number(place.slice(0, timeDigits))

/** The keys of one queue. */
export class QueueKeys {
  readonly name: string
  /** What consumers watch. */
  readonly watched: string
  readonly rows: string
  readonly claimers: string
  /** Elements that their offers have claimed. */
  readonly handed: string
  private readonly prefix: string
  private readonly encodedName: string

  constructor(prefix: string, name: string) {
    this.name = name
    this.prefix = prefix
    this.encodedName = encodeName(name)
    this.watched = `${prefix}q/${this.encodedName}/w/`
    this.rows = `${this.watched}r/`
    this.claimers = `${this.watched}k/`
    this.handed = `${prefix}q/${this.encodedName}/h/`
  }

  row(place: string): string {
    return this.rows + place
  }

  claimer(id: string): string {
    return this.claimers + id
  }

  element(id: string): string {
    return `${this.prefix}q/${this.encodedName}/e/${encodeOwnPart(id)}`
  }

  handedOver(id: string): string {
    return this.handed + encodeOwnPart(id)
  }

  /** A list of completed elements; `name` tells it from others of that time. */
  completedList(name: string, ms: number): string {
    return `${completedPrefix(this.prefix)}${timePart(ms)}/${this.encodedName}/${listMark}${name}`
  }

  completed(id: string, ms: number): string {
    return `${completedPrefix(this.prefix)}${timePart(ms)}/${this.encodedName}/${encodeOwnPart(id)}`
  }

  failed(id: string, ms: number): string {
    return `${failedPrefix(this.prefix)}${timePart(ms)}/${this.encodedName}/${encodeOwnPart(id)}`
  }
}

/** Before the keys of all queues but those of completed and failed elements. */
export const queuesPrefix = (prefix: string): string => `${prefix}q/`

/** The key of the layout's version. */
export const layoutVersionKey = (prefix: string): string => `${prefix}qv`

export const completedPrefix = (prefix: string): string => `${prefix}qc/`
export const failedPrefix = (prefix: string): string => `${prefix}qx/`

/** How the last part of a list's key begins. That of an id begins in other ways. */
const listMark = "+"

/** What a list of completed elements says of one. */
export const listedId = encodeOwnPart

export const encodeList = (ids: ReadonlyArray<string>): string => ids.join("/")

/** What a key of completed or failed elements says: when, and which element's key it is of, unless it is a list. */
export const finishedOf = (
  prefix: string,
  kind: string,
  key: string
): { readonly ms: number; readonly queue: string; readonly element: string | undefined } | undefined => {
  const [ms = "", queue, id] = key.slice(kind.length).split("/")
  if (queue === undefined || id === undefined || ms.length !== timeDigits) return undefined
  return { ms: Number(ms), queue, element: id.startsWith(listMark) ? undefined : `${prefix}q/${queue}/e/${id}` }
}

/** The keys of the elements that a row of completed or failed ones says have ended. */
export const elementsOf = (prefix: string, kind: string, key: string, value: Uint8Array): ReadonlyArray<string> => {
  const finished = finishedOf(prefix, kind, key)
  if (finished === undefined) return []
  if (finished.element !== undefined) return [finished.element]
  return utf8Text(value).split("/").map((id) => `${prefix}q/${finished.queue}/e/${id}`)
}

/** A claim on an element. */
export interface Claim {
  readonly claimer: string
  /** Tells this claim from every other one. */
  readonly token: string
}

/** The token of a claimer's claim of this number. */
export const tokenOf = (claimer: string, count: number): string => `${claimer}/${count}`

const claimerOfToken = (token: string): string => token.slice(0, token.lastIndexOf("/"))

/** An element that waits or is claimed. */
export interface QueueRow {
  readonly place: string
  readonly id: string
  /** Claims so far that were not given back. */
  readonly attempts: number
  /** Whether it may only be taken when the time of its place has come. */
  readonly delayed: boolean
  readonly claim: Claim | undefined
  /** A copy of a small element as JSON, while it is not claimed. */
  readonly copy: string | undefined
  /** The revision of its last change. */
  readonly revision: number
}

/**
 * Most characters of an element whose row has a copy. A transaction that reads a value shares no call with others:
 * without the copy, workers of one process would claim one after another.
 */
export const maxCopyLength = 2_048

/** The copy for a row, of an element as JSON. */
export const copyOf = (json: string): string | undefined => json.length <= maxCopyLength ? json : undefined

export const encodeQueueRow = (
  { attempts, claim, copy, delayed, id }: Omit<QueueRow, "place" | "revision">
): string =>
  JSON.stringify({
    id,
    n: attempts,
    ...(delayed ? { d: 1 } : {}),
    ...(claim === undefined ? {} : { c: claim.claimer, t: claim.token }),
    ...(copy === undefined ? {} : { e: copy })
  })

/** `undefined` for what no queue wrote. */
export const decodeQueueRow = (place: string, value: Uint8Array, revision: number): QueueRow | undefined => {
  try {
    const { c, d, e, id, n, t } = JSON.parse(utf8Text(value)) as Record<string, unknown>
    if (typeof id !== "string" || !Number.isSafeInteger(n)) return undefined
    const claim = typeof c === "string" && typeof t === "string" ? { claimer: c, token: t } : undefined
    const copy = typeof e === "string" ? e : undefined
    return { place, id, attempts: n as number, delayed: d === 1, claim, copy, revision }
  } catch {
    return undefined
  }
}

/** An element that its offer has claimed. */
export interface HandedRow {
  readonly place: string
  readonly id: string
  readonly claim: Claim
  /** The element as JSON. */
  readonly json: Uint8Array
  readonly revision: number
}

/** The facts in one line, then the element. */
export const encodeHanded = ({ claim, id, json, place }: Omit<HandedRow, "revision">): Uint8Array =>
  lined({ id, p: place, t: claim.token }, json)

/** `undefined` for what no queue wrote. */
export const decodeHanded = (value: Uint8Array, revision: number): HandedRow | undefined => {
  const found = unlined(value)
  if (found === undefined) return undefined
  const { id, p, t } = found.facts
  return typeof id !== "string" || typeof p !== "string" || typeof t !== "string"
    ? undefined
    : { id, place: p, claim: { claimer: claimerOfToken(t), token: t }, json: found.json, revision }
}

/** Facts in one line, and bytes behind it. */
const lined = (facts: object, json: Uint8Array): Uint8Array => {
  const line = briefBytesOf(`${JSON.stringify(facts)}\n`)
  const value = allocate(line.byteLength + json.byteLength)
  value.set(line)
  value.set(json, line.byteLength)
  return value
}

const unlined = (
  value: Uint8Array
): { readonly facts: Record<string, unknown>; readonly json: Uint8Array } | undefined => {
  const end = value.indexOf(0x0a)
  if (end < 0) return undefined
  try {
    const facts = JSON.parse(utf8Text(value.subarray(0, end))) as Record<string, unknown>
    return { facts, json: value.slice(end + 1) }
  } catch {
    return undefined
  }
}

/** What the key of an element holds, told apart by the first byte. */
const pendingTag = 0x70
const completedTag = 0x63
const failedTag = 0x66

/** Most bytes of an element as JSON: what is left of a value beside the reason of a failure. */
export const maxElementBytes = 1024 * 1024 - 64 * 1024
/** Most characters of an id. */
export const maxIdLength = 2_048
/** Most characters that are kept of the reason of a failure. */
const maxReasonLength = 4_096

export const encodePending = (json: Uint8Array): Uint8Array => tagged(pendingTag, json)

/** Completed by the claim with this token. */
export const encodeCompleted = ({ token }: Claim): Uint8Array => tagged(completedTag, briefBytesOf(token))

/** What is known of an element that failed for good. */
export interface FailedElement {
  readonly id: string
  readonly attempts: number
  readonly reason: string
}

/** The facts in one line, then the element as it was offered. */
export const encodeFailed = (element: Uint8Array, { attempts, id, reason }: FailedElement): Uint8Array =>
  tagged(failedTag, lined({ id, n: attempts, why: reason.slice(0, maxReasonLength) }, element))

export type ElementState =
  | { readonly _tag: "Pending"; readonly json: Uint8Array }
  | { readonly _tag: "Completed"; readonly token: string }
  | { readonly _tag: "Failed"; readonly facts: FailedElement; readonly json: Uint8Array }

/** `undefined` for what no queue wrote. */
export const decodeElement = (value: Uint8Array): ElementState | undefined => {
  const rest = new Uint8Array(value.subarray(1))
  if (value[0] === pendingTag) return { _tag: "Pending", json: rest }
  if (value[0] === completedTag) return { _tag: "Completed", token: utf8Text(rest) }
  if (value[0] !== failedTag) return undefined
  const found = unlined(rest)
  if (found === undefined) return undefined
  const { id, n, why } = found.facts
  return { _tag: "Failed", facts: { id: String(id), attempts: Number(n), reason: String(why) }, json: found.json }
}

const tagged = (tag: number, bytes: Uint8Array): Uint8Array => {
  const value = allocate(1 + bytes.byteLength)
  value[0] = tag
  value.set(bytes, 1)
  return value
}
