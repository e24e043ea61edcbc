/** When a sync of the log is waited for on the calling thread, and when not. */
import { assert, it } from "@effect/vitest"
import { fastMs, fastSyncs, SyncPace } from "../../src/storage/SyncPace.ts"

it("a disk is fast after some fast syncs in a row, and not any more after a slow one", () => {
  const pace = new SyncPace()
  for (let sync = 0; sync < fastSyncs; sync++) {
    assert.isFalse(pace.isFast, `after ${sync}`)
    pace.took(fastMs)
  }
  assert.isTrue(pace.isFast)
  pace.took(0.1)
  assert.isTrue(pace.isFast)
  pace.took(fastMs + 0.1)
  for (let sync = 0; sync < fastSyncs; sync++) {
    assert.isFalse(pace.isFast, `${sync} after a slow one`)
    pace.took(0.1)
  }
  assert.isTrue(pace.isFast)
})
