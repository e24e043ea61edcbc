/** Damage to a disk at rest: bits that changed, and a write-ahead log that ends before its time. */
import { stateKeys } from "../../../src/storage/Codec.ts"
import type { Random } from "../Random.ts"
import type { Image, SimDisk, StoredRow } from "./SimDisk.ts"
import { compactedIn, find, lastIndexIn, position } from "./SimDisk.ts"

/** A copy with one bit changed. */
export const flipped = (bytes: Uint8Array, random: Random): Uint8Array => {
  const copy = Uint8Array.from(bytes)
  const at = random.below(copy.byteLength)
  copy[at] = (copy[at] as number) ^ 1 << random.below(8)
  return copy
}

const withRow = (rows: ReadonlyArray<StoredRow>, at: number, value: Uint8Array): ReadonlyArray<StoredRow> => {
  const copy = rows.slice()
  copy[at] = { ...copy[at] as StoredRow, value }
  return copy
}

/** Both what is read now and what is read after a crash. */
const change = (disk: SimDisk, changed: (image: Image) => Image): void => {
  disk.image = changed(disk.image)
  disk.durable = changed(disk.durable)
}

/** Few, so that most logs have a part that no start reads. */
export const entriesReadAtStart = 16

/** The index of the floor; 0 where there is none that can be read. */
const floorIndex = (disk: SimDisk): number => {
  if (disk.floor === undefined || disk.damaged.has(damagedFloor)) return 0
  return (JSON.parse(Buffer.from(disk.floor).toString("utf8", 4)) as { readonly index: number }).index
}

const damagedFloor = "a bit of the floor"

export interface Damage {
  readonly what: string
  /** Whether a node that starts with it has to refuse: all that a start reads. */
  readonly showsAtStart: boolean
}

/**
 * Damages something, when there is something, and says what. Nothing may be under way to the disk. `atRest` says that
 * no process runs on it.
 */
export const damageDisk = (disk: SimDisk, random: Random, atRest: boolean): Damage | undefined => {
  // A system that goes on without the process writes what it was given.
  if (atRest) disk.synced(disk.image, disk.unsynced.length)
  if (disk.unsynced.length > 0 || disk.isNew) return undefined
  const { image } = disk
  switch (random.pick(["log", "log", "hard state", "record", "state", "state", "floor", "tail", "tail"] as const)) {
    case "log": {
      if (image.raft_log.length === 0) return undefined
      const at = random.below(image.raft_log.length)
      const row = image.raft_log[at] as StoredRow
      const value = flipped(row.value, random)
      change(disk, (from) => ({ ...from, raft_log: withRow(from.raft_log, at, value) }))
      disk.damaged.add("a bit of the log")
      const index = Buffer.from(row.key).readUInt32BE(4)
      // Entries that a compaction leaves behind, or a reset, are not read again, and old ones not at once.
      const showsAtStart = index > Math.max(compactedIn(image), floorIndex(disk) - entriesReadAtStart) &&
        find(image.raft_state, stateKeys.resetting) === undefined
      return { what: `a bit of log entry ${index} flips`, showsAtStart }
    }
    case "hard state": {
      const at = position(image.raft_state, stateKeys.hardState)
      const row = image.raft_state[at] as StoredRow
      const value = flipped(row.value, random)
      change(disk, (from) => ({ ...from, raft_state: withRow(from.raft_state, at, value) }))
      disk.damaged.add("a bit of the hard state")
      return { what: "a bit of the hard state flips", showsAtStart: true }
    }
    case "record": {
      const at = random.below(image.raft_state.length)
      const row = image.raft_state[at] as StoredRow
      const value = flipped(row.value, random)
      change(disk, (from) => ({ ...from, raft_state: withRow(from.raft_state, at, value) }))
      disk.damaged.add("a bit of a record")
      return { what: `a bit of the record ${row.name} flips`, showsAtStart: row.name !== stateKeys.resetting }
    }
    case "state": {
      const family = random.chance(0.9) ? "state_a" : "state_b"
      if (image[family].length === 0) return undefined
      const row = image[family][random.below(image[family].length)] as StoredRow
      disk.damaged.add(`${family}/${row.name}`)
      return { what: `a block of ${family} cannot be read`, showsAtStart: false }
    }
    case "floor": {
      if (disk.floor === undefined) return undefined
      disk.renameFloor(flipped(disk.floor, random))
      disk.syncFloor()
      disk.damaged.add(damagedFloor)
      return { what: "a bit of the floor flips", showsAtStart: true }
    }
    case "tail": {
      // Only a start reads the write-ahead log.
      if (disk.floor === undefined || !atRest) return undefined
      const floor = floorIndex(disk)
      // Recovery drops all that follows a damaged record of the write-ahead log, in every family and without a word.
      // What the floor does not speak of would go unnoticed: the floor is what there is against that.
      const earlier = disk.earlier.filter((image) => compactedIn(image) < floor && lastIndexIn(image) < floor)
      if (earlier.length === 0) return undefined
      const left = random.pick(earlier)
      const last = lastIndexIn(left)
      change(disk, () => left)
      disk.damaged.add("the tail of the log")
      return { what: `the log loses everything after ${last}, and the floor is ${floor}`, showsAtStart: true }
    }
  }
}
