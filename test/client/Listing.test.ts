/** A list of several pages, each of another moment, becomes the list of the last moment. */
import { assert, it } from "@effect/vitest"
import { KeyValueEntry } from "../../src/client/KeyValue.ts"
import { Listing } from "../../src/client/Listing.ts"
import type { Changes } from "../../src/client/WatchNotice.ts"
import { DeleteEvent, PutEvent } from "../../src/client/WatchNotice.ts"
import { at } from "./Identities.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

const entry = (key: string, revision: number) =>
  new KeyValueEntry(bytes(key), {
    createRevision: revision,
    modRevision: revision,
    version: 1,
    lease: 0,
    value: bytes(`of ${revision}`)
  })

const put = (key: string, revision: number): Changes => ({
  _tag: "Changes",
  revision,
  position: at(revision),
  logTimeMs: 0,
  events: [new PutEvent(bytes(key), entry(key, revision), undefined)]
})

const del = (key: string, revision: number): Changes => ({
  _tag: "Changes",
  revision,
  position: at(revision),
  logTimeMs: 0,
  events: [new DeleteEvent(bytes(key), undefined)]
})

/** Pages of revisions 10, 12 and 15: keys up to b, up to d, and the rest. */
const listing = () =>
  new Listing(
    [{ key: bytes("b"), revision: 10 }, { key: bytes("d"), revision: 12 }, { key: undefined, revision: 15 }],
    [entry("a", 1), entry("b", 2), entry("c", 11), entry("d", 3), entry("e", 14), entry("f", 4)]
  )

const shown = (told: ReturnType<Listing["take"]>) =>
  told.map((one) =>
    one._tag === "Listed"
      ? `${one.revision}: ${one.entries.map(({ keyText, text }) => `${keyText} ${text}`).join(", ")}`
      : `change ${one.revision}`
  )

it("carries out what a page did not see yet, and nothing that it saw", () => {
  const list = listing()
  assert.strictEqual(list.from, 11)
  const notices = [
    { _tag: "Began", revision: 11, position: at(10) } as const,
    put("c", 11), // its page saw it
    del("a", 12), // its page did not
    put("aa", 13), // nor this one
    put("e", 14), // seen
    del("d", 15), // not seen
    { _tag: "Progress", revision: 14, position: at(14) } as const
  ]
  for (const notice of notices) assert.deepStrictEqual(list.take(notice), [])
  assert.deepStrictEqual(shown(list.take({ _tag: "Progress", revision: 15, position: at(15) })), [
    "15: aa of 13, b of 2, c of 11, e of 14, f of 4"
  ])
  assert.deepStrictEqual(shown(list.take(put("a", 16))), ["change 16"])
})

it("is complete with the first change behind it, or at once when all pages are of one moment", () => {
  assert.deepStrictEqual(shown(listing().take(put("z", 16))), [
    "15: a of 1, b of 2, c of 11, d of 3, e of 14, f of 4",
    "change 16"
  ])
  const single = new Listing([{ key: undefined, revision: 7 }], [entry("a", 1)])
  assert.deepStrictEqual(shown(single.take({ _tag: "Began", revision: 8, position: at(7) })), ["7: a of 1"])
})
