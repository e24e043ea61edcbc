/** Where a backup comes from, and what is said when its node is lost. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Backups from "../../src/client/Backups.ts"
import type { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import type { Commands } from "../../src/client/Commands.ts"
import { ConnectionLost } from "../../src/client/connection/Connection.ts"
import type { Endpoint } from "../../src/client/connection/Endpoint.ts"
import { formatEndpoint } from "../../src/client/connection/Endpoint.ts"
import { resolve } from "../../src/client/ClientOptions.ts"

const endpoints: ReadonlyArray<Endpoint> = [{ host: "10.0.0.1", port: 7001 }, { host: "10.0.0.2", port: 7001 }]

const lost = (endpoint: Endpoint) =>
  new ConnectionLost({ endpoint: formatEndpoint(endpoint), reason: "the connection broke", sent: true })

/** Nodes that send so many pieces before they are lost. */
const backupsOf = (pieces: number) =>
  Backups.make(
    {
      endpoints,
      requestTimeoutMs: 1_000,
      connect: (endpoint) =>
        Effect.succeed({
          backup: Stream.concat(
            Stream.fromIterable(Array.from({ length: pieces }, (_, i) => Uint8Array.of(i))).pipe(Stream.rechunk(1)),
            Stream.fail(lost(endpoint))
          ),
          hashState: () => Stream.empty
        })
    },
    {} as Commands["Service"],
    { status: Effect.succeed([]) } as unknown as ClusterAdmin["Service"]
  )

it.effect("a backup whose node is lost in the middle says that it is not whole, and what to do", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Stream.runDrain(backupsOf(3).download))
    assert.strictEqual(error._tag, "Unavailable")
    assert.match(
      error.message,
      /10\.0\.0\.1:7001: the connection broke in the middle of the backup, which is not whole\. Take it again/
    )
  }))

it.effect("a backup that no node begins names what each of them said", () =>
  Effect.gen(function*() {
    const error = yield* Effect.flip(Stream.runDrain(backupsOf(0).download))
    assert.match(error.message, /no node can be reached; 10\.0\.0\.1:7001: .*10\.0\.0\.2:7001: /)
  }))

it.effect("a node that is slow to be ready is compared, within the time of any operation", () =>
  Effect.gen(function*() {
    const { requestTimeoutMs } = resolve({ endpoints })
    const hashed = (index: number) =>
      ({ _tag: "Hashed", nodeId: 1, index, term: 1, revision: index, rows: 0, bytes: 0, digest: "00" }) as const
    const readyAfterMs = (ms: number) =>
      Stream.fromEffect(Effect.as(Effect.sleep(ms), { _tag: "Armed", nodeId: 1 } as const)).pipe(
        Stream.concat(Stream.make(hashed(7)))
      )
    const backups = Backups.make(
      {
        endpoints,
        requestTimeoutMs,
        connect: ({ host }) =>
          Effect.succeed({
            backup: Stream.empty,
            hashState: () => readyAfterMs(host === "10.0.0.1" ? requestTimeoutMs - 1 : 2 * requestTimeoutMs)
          })
      },
      { write: () => Effect.succeed(new Uint8Array(0)) } as unknown as Commands["Service"],
      { status: Effect.succeed([]) } as unknown as ClusterAdmin["Service"]
    )
    const comparing = yield* Effect.forkChild(backups.hashes())
    yield* TestClock.adjust(2 * requestTimeoutMs)
    const [slow, tooSlow] = yield* Fiber.join(comparing)
    assert.strictEqual(slow?.hash?.index, 7)
    assert.strictEqual(tooSlow?.problem, `not ready within ${requestTimeoutMs} ms`)
  }))
