/** What a watch tells. */
import type { KeyValueEntry } from "./Entry.ts"
import type { Position } from "./Position.ts"
import { utf8Text } from "../bytes/Utf8.ts"

/** What happened to one key. */
export type WatchEvent = PutEvent | DeleteEvent

/** A key was set. */
export class PutEvent {
  readonly _tag = "Put"
  readonly key: Uint8Array
  readonly entry: KeyValueEntry
  /** What it replaced; `undefined` when the key was new, when it was not asked for, or when history has it no more. */
  readonly previous: KeyValueEntry | undefined

  constructor(key: Uint8Array, entry: KeyValueEntry, previous: KeyValueEntry | undefined) {
    this.key = key
    this.entry = entry
    this.previous = previous
  }

  /** The key as UTF-8 text. */
  get keyText(): string {
    return this.entry.keyText
  }
}

/** A key was deleted: by a client, or because its lease ended. */
export class DeleteEvent {
  readonly _tag = "Delete"
  readonly key: Uint8Array
  /** What it was; `undefined` when it was not asked for, or when history has it no more. */
  readonly previous: KeyValueEntry | undefined

  constructor(key: Uint8Array, previous: KeyValueEntry | undefined) {
    this.key = key
    this.previous = previous
  }

  /** The key as UTF-8 text. */
  get keyText(): string {
    return utf8Text(this.key)
  }
}

/** Everything that one revision did to the watched keys; never empty, never half of it. */
export interface Changes {
  readonly _tag: "Changes"
  readonly revision: number
  /** When it happened, by the cluster's clock, in milliseconds since 1970. */
  readonly logTimeMs: number
  /** To go on behind this change, also in another process. */
  readonly position: Position
  readonly events: ReadonlyArray<WatchEvent>
}

/** The watch has begun: everything from `revision` on will be told. */
export interface Began {
  readonly _tag: "Began"
  readonly revision: number
  /** To begin here again: it is behind the revision before. */
  readonly position: Position
}

/** Everything up to and including `revision` was emitted. */
export interface Progress {
  readonly _tag: "Progress"
  readonly revision: number
  readonly position: Position
}

/** What a watch tells: where it begins, changes, and how far it is. */
export type WatchNotice = Began | Changes | Progress

/** All watched keys as they were at `revision`. It takes the place of whatever was known before. */
export interface Listed {
  readonly _tag: "Listed"
  readonly revision: number
  readonly position: Position
  /** In byte order of the keys. */
  readonly entries: ReadonlyArray<KeyValueEntry>
}
