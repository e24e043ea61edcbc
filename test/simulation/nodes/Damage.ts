/** Damage to a disk at rest: bits that changed, and a write-ahead log that ends before its time. */
import { logKey } from "../../../src/storage/Codec.ts"
import { LogIndex } from "../../../src/raft/Types.ts"
import type { Random } from "../Random.ts"
import type { Image, SimDisk, StoredRow } from "./SimDisk.ts"
import { nameOf } from "./SimDisk.ts"

const flipped = (bytes: Uint8Array, random: Random): Uint8Array => {
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

/** Damages something, when there is something, and says what. Everything written lately is synced first. */
export const damageDisk = (disk: SimDisk, random: Random): string | undefined => {
  if (disk.unsynced.length > 0 || disk.isNew) return undefined
  const { image } = disk
  switch (random.pick(["log", "log", "record", "record", "state", "floor", "tail"] as const)) {
    case "log": {
      if (image.raft_log.length === 0) return undefined
      const at = random.below(image.raft_log.length)
      const row = image.raft_log[at] as StoredRow
      const value = flipped(row.value, random)
      change(disk, (from) => ({ ...from, raft_log: withRow(from.raft_log, at, value) }))
      disk.damaged.add("a bit of the log")
      return `a bit of log entry ${Buffer.from(row.key).readUInt32BE(4)} flips`
    }
    case "record": {
      const at = random.below(image.raft_state.length)
      const row = image.raft_state[at] as StoredRow
      const value = flipped(row.value, random)
      change(disk, (from) => ({ ...from, raft_state: withRow(from.raft_state, at, value) }))
      disk.damaged.add("a bit of a record")
      return `a bit of the record ${row.name} flips`
    }
    case "state": {
      const family = random.chance(0.9) ? "state_a" : "state_b"
      if (image[family].length === 0) return undefined
      const row = image[family][random.below(image[family].length)] as StoredRow
      disk.damaged.add(`${family}/${row.name}`)
      return `a block of ${family} cannot be read`
    }
    case "floor": {
      if (disk.floor === undefined) return undefined
      disk.floor = flipped(disk.floor, random)
      disk.damaged.add("a bit of the floor")
      return "a bit of the floor flips"
    }
    case "tail": {
      if (disk.floor === undefined) return undefined
      const floor = (JSON.parse(Buffer.from(disk.floor).toString("utf8", 4)) as { readonly index: number }).index
      const first = image.raft_log[0]
      if (first === undefined || floor < 1) return undefined
      const from = Math.max(1, floor - random.below(5))
      const name = nameOf(logKey(LogIndex(from)))
      if (name < first.name) return undefined
      change(disk, (before) => ({ ...before, raft_log: before.raft_log.filter((row) => row.name < name) }))
      disk.damaged.add("the tail of the log")
      return `the log loses everything from ${from} on, and the floor is ${floor}`
    }
  }
}
