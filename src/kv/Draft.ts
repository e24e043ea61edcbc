/**
 * The effects of a batch of commands before they are written: later commands see earlier ones, and a key changed
 * often is written once. Applying the same commands to the same records gives the same draft on every node.
 */
import type { Command } from "./Command.ts"
import type { KeyRecord } from "./KeyRecord.ts"
import { encodeDeleteReply, encodePutReply } from "./Reply.ts"

/** A key as a map's key: one character for each byte. */
export const keyText = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1")

interface Slot {
  readonly key: Uint8Array
  record: KeyRecord | undefined
  changed: boolean
}

/** What becomes of one key: its new record, or `undefined` when it is deleted. */
export interface KeyChange {
  readonly key: Uint8Array
  readonly record: KeyRecord | undefined
}

export class Draft {
  /** The revision of the last write; each write that changes something takes the next one. Gapless. */
  revision: number
  private readonly slots = new Map<string, Slot>()

  constructor(revision: number) {
    this.revision = revision
  }

  /** Tells the record a key has in the store. Must precede every command on that key. */
  load(key: Uint8Array, record: KeyRecord | undefined): void {
    this.slots.set(keyText(key), { key, record, changed: false })
  }

  /** Carries out a command and answers with the bytes of its reply. */
  apply(command: Command): Uint8Array {
    const slot = this.slots.get(keyText(command.key))
    if (slot === undefined) throw new Error("a command was applied before the record of its key was loaded")
    const { record } = slot
    switch (command._tag) {
      case "Put": {
        const revision = this.revision + 1
        const createRevision = record?.createRevision ?? revision
        const version = (record?.version ?? 0) + 1
        this.change(slot, { createRevision, modRevision: revision, version, value: command.value })
        return encodePutReply({ revision, createRevision, version })
      }
      case "Delete": {
        if (record === undefined) return encodeDeleteReply({ revision: this.revision, deleted: false })
        this.change(slot, undefined)
        return encodeDeleteReply({ revision: this.revision, deleted: true })
      }
    }
  }

  /** Every key that changed, once. */
  changes(): ReadonlyArray<KeyChange> {
    const changes: Array<KeyChange> = []
    for (const { changed, key, record } of this.slots.values()) {
      if (changed) changes.push({ key, record })
    }
    return changes
  }

  private change(slot: Slot, record: KeyRecord | undefined): void {
    this.revision += 1
    slot.record = record
    slot.changed = true
  }
}
