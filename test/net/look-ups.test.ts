/** What connections ask of the system's resolver, which is made here to never answer. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit } from "effect"
import dns from "node:dns"
import { connect } from "../../src/net/TcpClient.ts"
import { PeerRpcs } from "../../src/protocol/PeerRpcs.ts"

/** Counts the look-ups of a name until the scope ends, and answers none. */
const silentResolver = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const { lookup } = dns
      const asked = { count: 0, restore: () => void (dns.lookup = lookup) }
      dns.lookup = ((host: string, ...rest: Array<unknown>) => {
        if (host === name) asked.count++
        else (lookup as (...all: Array<unknown>) => void)(host, ...rest)
      }) as typeof lookup
      return asked
    }),
    ({ restore }) => Effect.sync(restore)
  )

it.live("attempts to connect to one name share one look-up, however often they are repeated", () =>
  Effect.gen(function*() {
    // A name for which no name server is asked.
    const host = "silent-node.local"
    const asked = yield* silentResolver(host)
    const attempt = Effect.scoped(Effect.gen(function*() {
      const ended = yield* Deferred.make<void>()
      yield* connect(PeerRpcs, {
        host,
        port: 1,
        openTimeoutMs: 50,
        onDisconnect: () => Deferred.doneUnsafe(ended, Exit.void)
      })
      yield* Deferred.await(ended)
    }))
    yield* Effect.forEach([1, 2, 3], () => Effect.andThen(attempt, attempt), { concurrency: "unbounded" })
    assert.strictEqual(asked.count, 1)
  }))
