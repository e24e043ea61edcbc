/** What `compact` asks of the store: the bound is read linearizably, whatever the client reads by default. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ResolvedClientOptions } from "../../src/client/ClientOptions.ts"
import * as ClusterAdmin from "../../src/client/ClusterAdmin.ts"
import type { ConnectionPool } from "../../src/client/connection/ConnectionPool.ts"
import type { Requests } from "../../src/client/session/Requests.ts"

/** A store at revision 5, and what it was asked. */
const asked = () => {
  const reads: Array<unknown> = []
  const writes: Array<unknown> = []
  const requests = {
    read: (_: unknown, options: unknown) => {
      reads.push(options)
      return Effect.succeed({ _tag: "GetReply", revision: 5, record: undefined })
    },
    writeRepeatable: (command: unknown) => {
      writes.push(command)
      return Effect.succeed({ _tag: "DoneReply", revision: 5 })
    }
  }
  const client = { endpoints: [] }
  const admin = ClusterAdmin.make(
    client as unknown as ResolvedClientOptions,
    {} as unknown as ConnectionPool,
    requests as unknown as Requests
  )
  return { admin, reads, writes }
}

it.effect("compact forgets what is before the revision, and nothing the store does not have", () =>
  Effect.gen(function*() {
    for (const [revision, oldest, through] of [[undefined, 5, 4], [3, 3, 2], [1, 1, 0], [0, 0, 0]] as const) {
      const { admin, reads, writes } = asked()
      assert.strictEqual(yield* admin.compact(revision), oldest)
      assert.deepStrictEqual(writes, [{ _tag: "Compact", through }])
      assert.deepStrictEqual(reads, [{ consistency: "linearizable" }])
    }
    const { admin, writes } = asked()
    assert.deepInclude(yield* Effect.flip(admin.compact(6)), { _tag: "InvalidArgument", field: "revision" })
    assert.deepStrictEqual(writes, [])
  }))
