/**
 * The requests of a runner's shards that have no exit, in memory: in the order in which they were saved, with what is
 * due later and what was handed out.
 */
import type { EntityAddress } from "effect/cluster"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { QueuePart } from "./ClusterKeys.ts"
import type { RequestRow } from "./MessageRows.ts"
import { addressOf } from "./MessageRows.ts"

/** How long what was handed out is not handed out again, in milliseconds; the same as of Effect's other storages. */
export const claimMs = 10 * 60_000

/** Requests beyond which rows are read again when they are handed out: as objects they take more memory. */
const readAtEase = 8_192

/** The version of a row that is not stored, see `UnsavedRequests.ts`. */
export const unsavedVersion = 0

/** What is known of a request that has no exit. */
export class Waiting {
  readonly shard: string
  readonly id: string
  readonly parts = new Map<QueuePart, KeyValueEntry>()
  /** What of it is handed out, or may be. */
  readonly items = new Map<QueuePart, Item>()
  /** Whether a transaction failed because the request was gone, which the copy has yet to show. */
  isDoubtful = false

  constructor(shard: string, id: string) {
    this.shard = shard
    this.id = id
  }

  /**
   * Whether it, its acknowledgement and its interrupt may be read: it is due, and no chunk waits to be acknowledged. An
   * interrupt that is read before its request interrupts nothing, and Effect forgets it.
   */
  isReadable(due: number): boolean {
    if (!this.parts.has("r") || this.parts.has("u")) return false
    const request = this.items.get("r")
    return request === undefined || request.deliverAt <= due
  }
}

type ItemPart = "r" | "a" | "i"

/** Something to hand out. */
export class Item {
  readonly waiting: Waiting
  readonly part: ItemPart
  /** Replaced when a row is stored that was not. */
  entry: KeyValueEntry
  readonly order: number
  readonly deliverAt: number
  readonly type: string
  readonly entity: string
  private row: RequestRow | undefined

  private constructor(
    waiting: Waiting,
    part: ItemPart,
    entry: KeyValueEntry,
    { entityId, entityType }: ReturnType<typeof addressOf>,
    row: RequestRow | undefined
  ) {
    this.waiting = waiting
    this.part = part
    this.entry = entry
    this.type = entityType
    this.entity = entityId
    this.order = row?.order ?? entry.modRevision
    this.deliverAt = row?.deliverAt ?? -Infinity
    this.row = row
  }

  /** `undefined` for a row that another version or another program wrote. */
  static of(waiting: Waiting, part: ItemPart, entry: KeyValueEntry): Item | undefined {
    try {
      if (part === "r") {
        const row = JSON.parse(entry.text) as RequestRow
        return new Item(waiting, part, entry, addressOf(row), row)
      }
      const { address } = JSON.parse(entry.text) as { readonly address: ReturnType<typeof addressOf> }
      return new Item(waiting, part, entry, address, undefined)
    } catch {
      return undefined
    }
  }

  /** The request's row, unless it was forgotten. It is forgotten now: most are handed out once. */
  takeRow(): RequestRow | undefined {
    const { row } = this
    this.row = undefined
    return row
  }
}

/**
 * The order in which messages were saved. Those of one revision come in the order of their ids, which is that in which
 * their sender made them, and a request before what concerns it.
 */
const byPlace = (a: Item, b: Item): number =>
  a.order !== b.order
    ? a.order - b.order
    : a.waiting === b.waiting
    ? Number(b.part === "r") - Number(a.part === "r")
    : Buffer.compare(a.entry.key, b.entry.key)

const addressKey = (type: string, entity: string): string => JSON.stringify([type, entity])

/** Which items are of some addresses. */
export const ofAddresses = (addresses: ReadonlyArray<EntityAddress.EntityAddress>): (item: Item) => boolean => {
  const wanted = new Set(addresses.map(({ entityId, entityType }) => addressKey(entityType, entityId)))
  return ({ entity, type }) => wanted.has(addressKey(type, entity))
}

/** Gets the changes. */
export interface Listener {
  /** There may be something to read. */
  readonly work: () => void
  /** Something is due at a time that is earlier than all others. */
  readonly due: () => void
  /** A row is there that was there before. */
  readonly shown: (key: string) => void
}

export class WaitingItems {
  /** By shard, then by id. */
  readonly shards = new Map<string, Map<string, Waiting>>()
  /** When the earliest of those that are due later is due. */
  nextDueMs = Infinity
  private readonly listener: Listener
  /** The same of all shards, by id. One that is not current any more may be in it until another takes its place. */
  private readonly requests = new Map<string, Waiting>()
  /** What may be handed out, in order once it is sorted; what is gone by now is left out when it is read. */
  private items: Array<Item> = []
  private sorted = true
  private readonly delayed = new Set<Item>()
  /** What was handed out, the oldest first, and when. */
  private readonly claims = new Map<Item, number>()

  constructor(listener: Listener) {
    this.listener = listener
  }

  get hasDelayed(): boolean {
    return this.delayed.size > 0
  }

  find(id: string): Waiting | undefined {
    const waiting = this.requests.get(id)
    return waiting !== undefined && this.shards.get(waiting.shard)?.get(id) === waiting ? waiting : undefined
  }

  /** Nothing is known of a shard yet. */
  open(shard: string): void {
    this.shards.set(shard, new Map())
  }

  /** Nothing is known of a shard any more. */
  clear(shard: string): void {
    for (const [id, waiting] of this.shards.get(shard) ?? []) {
      if (this.requests.get(id) === waiting) this.requests.delete(id)
    }
    this.shards.delete(shard)
  }

  /** What was handed out, by the keys of its rows. */
  claimed(): ReadonlyMap<string, Item> {
    return new Map([...this.claims.keys()].map((item) => [item.entry.keyText, item]))
  }

  /** A row was read again that had been handed out, and stays handed out. */
  keepClaim(claimed: Item | undefined, entry: KeyValueEntry): void {
    if (claimed?.entry.modRevision !== entry.modRevision) return
    const claimedMs = this.claims.get(claimed)
    const item = this.find(claimed.waiting.id)?.items.get(claimed.part)
    if (claimedMs === undefined || item?.entry !== entry) return
    this.claims.delete(claimed)
    this.claims.set(item, claimedMs)
    this.delayed.delete(item)
    this.items = this.items.filter((other) => other !== item)
  }

  /** Shards were listed again: what was handed out of them has other entries, and stays handed out. */
  keepClaims(before: ReadonlyMap<string, Item>, listed: ReadonlySet<string>): void {
    for (const item of [...this.items, ...this.delayed]) {
      const claimed = before.get(item.entry.keyText)
      if (claimed === undefined || claimed === item) continue
      if (claimed.entry.modRevision !== item.entry.modRevision) continue
      this.claims.set(item, this.claims.get(claimed) ?? 0)
      this.claims.delete(claimed)
      this.delayed.delete(item)
    }
    this.items = this.items.filter((item) => this.isCurrent(item) && !this.claims.has(item))
    for (const item of this.claims.keys()) {
      if (listed.has(item.waiting.shard) && !this.isCurrent(item)) this.claims.delete(item)
    }
  }

  /** A row was put. */
  set(shard: string, id: string, part: QueuePart, entry: KeyValueEntry): void {
    const requests = this.shards.get(shard)
    if (requests === undefined) return
    let waiting = requests.get(id)
    if (waiting === undefined) {
      waiting = new Waiting(shard, id)
      requests.set(id, waiting)
      this.requests.set(id, waiting)
    }
    const before = waiting.parts.get(part)
    if (before !== undefined && entry.version === unsavedVersion) return
    if (before?.version === unsavedVersion) {
      // The same request, which is handed out no second time.
      waiting.parts.set(part, entry)
      const held = waiting.items.get(part)
      if (held !== undefined) held.entry = entry
      return
    }
    if (before?.modRevision === entry.modRevision) {
      this.listener.shown(entry.keyText)
      const own = waiting.items.get(part)
      if (own !== undefined && !this.claims.has(own)) this.listener.work()
      return
    }
    waiting.parts.set(part, entry)
    if (part === "u" || part === "k") return
    const item = Item.of(waiting, part, entry)
    const replaced = waiting.items.get(part)
    if (replaced !== undefined) this.claims.delete(replaced)
    if (item === undefined) return
    if (this.requests.size > readAtEase) item.takeRow()
    waiting.items.set(part, item)
    if (item.deliverAt > -Infinity) {
      this.delayed.add(item)
      this.dueAt(item.deliverAt)
      return
    }
    this.add(item)
    this.listener.work()
  }

  /** A row was deleted. */
  delete(shard: string, id: string, part: QueuePart): void {
    const requests = this.shards.get(shard)
    const waiting = requests?.get(id)
    if (waiting === undefined) return
    waiting.parts.delete(part)
    if (waiting.parts.size === 0) {
      requests?.delete(id)
      if (this.requests.get(id) === waiting) this.requests.delete(id)
    }
    // What a chunk held back may be read now.
    if (part === "u") this.listener.work()
    const item = waiting.items.get(part)
    if (item === undefined) return
    waiting.items.delete(part)
    this.claims.delete(item)
    this.delayed.delete(item)
  }

  /** Something is due at a time. */
  dueAt(dueMs: number): void {
    if (dueMs >= this.nextDueMs) return
    this.nextDueMs = dueMs
    this.listener.due()
  }

  /** What was handed out of these is handed out again. */
  release(which: (waiting: Waiting, item: Item) => boolean): void {
    for (const item of this.claims.keys()) {
      if (!which(item.waiting, item)) continue
      this.claims.delete(item)
      this.add(item)
    }
  }

  /** Hands out what is wanted and due, in order. `now` is the time from which on it counts as handed out. */
  handOut(now: number, due: number, limit: number, wanted: (item: Item) => boolean): ReadonlyArray<Item> {
    this.moveDue(due)
    for (const [item, claimedMs] of this.claims) {
      if (claimedMs > now - claimMs) break
      this.claims.delete(item)
      this.add(item)
    }
    if (!this.sorted) this.items.sort(byPlace)
    this.sorted = true
    const taken: Array<Item> = []
    let kept = 0
    let at = 0
    for (; at < this.items.length && taken.length < limit; at++) {
      const item = this.items[at] as Item
      if (!this.isCurrent(item)) continue
      if (item.waiting.isReadable(due) && wanted(item)) {
        taken.push(item)
        this.claims.set(item, now)
      } else this.items[kept++] = item
    }
    this.items.splice(kept, at - kept)
    return taken
  }

  /** Has what is due by now handed out. */
  moveDue(now: number): void {
    if (now < this.nextDueMs) return
    this.nextDueMs = Infinity
    for (const item of this.delayed) {
      if (item.deliverAt > now) this.nextDueMs = Math.min(this.nextDueMs, item.deliverAt)
      if (item.deliverAt > now && this.isCurrent(item)) continue
      this.delayed.delete(item)
      this.add(item)
    }
  }

  private isCurrent({ entry, part, waiting }: Item): boolean {
    return waiting.parts.get(part) === entry && this.shards.get(waiting.shard)?.get(waiting.id) === waiting
  }

  private add(item: Item): void {
    if (!this.isCurrent(item)) return
    const last = this.items[this.items.length - 1]
    if (last !== undefined && byPlace(last, item) > 0) this.sorted = false
    this.items.push(item)
  }
}
