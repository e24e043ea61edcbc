/**
 * Ids of new entries: UUIDs of version 7. Effect's ascend within a process; these also come after the latest id of the
 * journal, which a process with another clock may have made.
 */
import { EventJournal } from "effect/eventlog"

type EntryId = EventJournal.EntryId

const isAfter = (a: EntryId, b: EntryId): boolean => EventJournal.EntryIdOrder(a, b) > 0

/** The later one of two ids. */
export const laterOf = (a: EntryId | undefined, b: EntryId): EntryId => a === undefined || isAfter(b, a) ? b : a

/** Largest number in the 12 bits behind the version, which count the ids of one millisecond. */
const maxCount = 0xfff

const countOf = (id: EntryId): number => (((id[6] ?? 0) & 0x0f) << 8) | (id[7] ?? 0)

/** The least that comes after an id, but for what is random in it. */
const idAfter = (id: EntryId): EntryId => {
  const millis = EventJournal.entryIdMillis(id)
  const count = countOf(id) + 1
  const next = EventJournal.makeEntryIdUnsafe({ msecs: count > maxCount ? millis + 1 : millis })
  const [high, low] = count > maxCount ? [0, 0] : [count >> 8, count & 0xff]
  next[6] = 0x70 | high
  next[7] = low
  return next
}

/** `count` ids that ascend, all of them after `latest`. */
export const newIds = (count: number, latest: EntryId | undefined): ReadonlyArray<EntryId> => {
  const ids: Array<EntryId> = []
  let last = latest
  for (let i = 0; i < count; i++) {
    const own = EventJournal.makeEntryIdUnsafe()
    last = last === undefined || isAfter(own, last) ? own : idAfter(last)
    ids.push(last)
  }
  return ids
}
