/** What a consumer knows of a queue, against the queue itself: whatever comes late, early or in between, it ends up right. */
import { assert, describe, it } from "@effect/vitest"
import type { QueueRow } from "../../src/actors/persistence/queue/Layout.ts"
import { dueMsOfPlace, placeOf } from "../../src/actors/persistence/queue/Layout.ts"
import { Mirror } from "../../src/actors/persistence/queue/Mirror.ts"

type Told = QueueRow | { readonly place: string; readonly removed: number }

/** Reproducible numbers below a bound. */
const random = (seed: number) => (below: number): number => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return Math.floor((seed / 2 ** 32) * below)
}

const row = (place: string, revision: number, claimer?: string): QueueRow => ({
  place,
  id: place,
  attempts: 0,
  delayed: false,
  copy: undefined,
  claim: claimer === undefined ? undefined : { claimer, token: String(revision) },
  revision
})

const maxRows = 16

/** A queue that changes, and a mirror of it that learns of that by a watch, by answers, and by reading. */
const run = (seed: number, steps: number) => {
  const below = random(seed)
  const queue = new Map<string, QueueRow>()
  const unwatched: Array<Told> = []
  let revision = 0
  let count = 0
  let reading: { readonly rows: ReadonlyArray<QueueRow>; readonly more: boolean } | undefined
  const sorted = () => [...queue.values()].sort((a, b) => a.place < b.place ? -1 : 1)
  const page = (after: string) => {
    const rest = sorted().filter(({ place }) => place > after)
    return { rows: rest.slice(0, maxRows / 2), more: rest.length > maxRows / 2 }
  }
  const mirror = new Mirror(maxRows)

  const tell = (told: Told) => "removed" in told ? mirror.remove(told.place, told.removed) : mirror.put(told)
  const watch = (events: number) => {
    for (const told of unwatched.splice(0, events)) {
      tell(told)
      mirror.watchedTo("removed" in told ? told.removed : told.revision)
    }
  }
  const change = (told: Told) => {
    if ("removed" in told) queue.delete(told.place)
    else queue.set(told.place, told)
    unwatched.push(told)
    // The answer to a transaction of this process comes before the watch, or after it.
    if (below(3) === 0) tell(told)
  }
  // Most are of the first, which consumers work at.
  const some = () => sorted()[below(below(4) === 0 ? queue.size : Math.min(queue.size, 3))] as QueueRow

  for (let n = 0; n < 20; n++) queue.set(placeOf(below(40), ++count, "a"), row(placeOf(0, 0, ""), 0))
  for (const place of queue.keys()) queue.set(place, row(place, ++revision))
  // Half of the queues have a consumer at work, and what it has claimed is not free.
  if (seed % 2 === 0) mirror.claimerCame("b")
  const first = page("")
  mirror.read(first.rows, first.more)
  mirror.watchedTo(revision)

  for (let step = 0; step < steps; step++) {
    const kind = below(12)
    if (kind < 4) change(row(placeOf(step + below(20), ++count, "a"), ++revision))
    else if (kind < 5 && queue.size > 0) change(row(some().place, ++revision, below(2) === 0 ? "b" : undefined))
    else if (kind < 9 && queue.size > 0) change({ place: some().place, removed: ++revision })
    else if (kind < 11) watch(below(12))
    else if (reading !== undefined) {
      mirror.read(reading.rows, reading.more)
      reading = undefined
    } else {
      const from = mirror.readFrom()
      if (from !== undefined) reading = page(from)
    }
  }
  if (reading !== undefined) mirror.read(reading.rows, reading.more)
  watch(Infinity)
  for (let from = mirror.readFrom(); from !== undefined; from = mirror.readFrom()) {
    const { more, rows } = page(from)
    mirror.read(rows, more)
  }
  const held = sorted().slice(0, mirror.size)
  assert.deepEqual(held.map(({ place }) => mirror.get(place)), held, "the first rows, as they are")
  const free = held.filter(({ claim }) => claim === undefined || !mirror.hasClaimer(claim.claimer)).length
  if (mirror.isWhole) assert.strictEqual(mirror.size, queue.size)
  else assert.isAtLeast(free, maxRows / 4, "and enough of them")
  assert.isAtMost(free, maxRows)
}

describe("the mirror of a queue", () => {
  it("holds the first rows, whatever order its news come in", () => {
    for (let seed = 1; seed <= 2_000; seed++) run(seed, 10 + (seed % 120))
  })

  const full = () => {
    const mirror = new Mirror()
    mirror.read(Array.from({ length: 12 }, (_, i) => row(placeOf(i, i, "a"), i + 1)), false)
    return mirror
  }
  const dueTimes = (rows: ReadonlyArray<QueueRow>) => rows.map(({ place }) => dueMsOfPlace(place))

  it("gives the first free rows, and the share of its rank where others consume too", () => {
    const mirror = full()
    mirror.claimerCame("a")
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, () => false).rows), [0, 1, 2])
    mirror.claimerCame("b")
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, () => false).rows), [0, 1, 2])
    assert.deepEqual(dueTimes(mirror.due("b", 0, 3, () => false).rows), [3, 4, 5])
    mirror.put(row(placeOf(1, 1, "a"), 50, "b"))
    mirror.put(row(placeOf(2, 2, "a"), 51, "gone"))
    const taken = placeOf(0, 0, "a")
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, (place) => place === taken).rows), [2, 3, 4])
    mirror.claimerWent("b")
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, (place) => place === taken).rows), [1, 2, 3])
  })

  it("has free rows of a long queue, however many of its first rows are at work", () => {
    const rows = Array.from({ length: 200 }, (_, i) => row(placeOf(i, i, "a"), i + 1, i < 150 ? "b" : undefined))
    const mirror = new Mirror(16)
    mirror.claimerCame("b")
    mirror.read(rows.slice(0, 8), true)
    for (let from = mirror.readFrom(); from !== undefined; from = mirror.readFrom()) {
      const next = rows.findIndex(({ place }) => place === from) + 1
      mirror.read(rows.slice(next, next + 8), next + 8 < rows.length)
    }
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, () => false).rows), [150, 151, 152])
    mirror.claimerWent("b")
    assert.deepEqual(dueTimes(mirror.due("a", 0, 3, () => false).rows), [0, 1, 2])
  })

  it("does not take a row back that is gone, whatever a late watch tells", () => {
    const mirror = full()
    const place = placeOf(0, 0, "a")
    mirror.remove(place, 60)
    mirror.put(row(place, 59))
    assert.isUndefined(mirror.get(place))
    mirror.watchedTo(59)
    mirror.put(row(place, 59))
    assert.isUndefined(mirror.get(place))
    // Then the watch has told of the removal, and tells of nothing before.
    mirror.watchedTo(60)
    mirror.put(row(place, 61))
    assert.strictEqual(mirror.get(place)?.revision, 61)
  })

  it("says when the next delayed row is due", () => {
    const mirror = full()
    mirror.put({ ...row(placeOf(100, 1, "a"), 20), delayed: true })
    mirror.put({ ...row(placeOf(90, 1, "a"), 21), delayed: true })
    assert.deepEqual(mirror.due("a", 50, 100, () => false).nextMs, 90)
    assert.lengthOf(mirror.due("a", 50, 100, () => false).rows, 12)
    assert.deepEqual(mirror.due("a", 95, 100, () => false).nextMs, 100)
    assert.lengthOf(mirror.due("a", 100, 100, () => false).rows, 14)
  })
})
