/** What goes on for long, and ends when its caller may not do it any more; and what no caller may write of itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, References, Stream } from "effect"
import { AuditLog } from "../../src/callers/AuditLog.ts"
import { KnownCluster } from "../../src/client/connection/KnownCluster.ts"
import { make as connectState } from "../../src/client/connection/StateConnection.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { encodeQuery } from "../../src/kv/model/Query.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { encodeBatch } from "../../src/protocol/Batch.ts"
import { clientProtocolVersion, ClientRpcs } from "../../src/protocol/ClientRpcs.ts"
import { call } from "../wire/Frames.ts"
import { exitOf, open } from "./RawConnection.ts"
import { bytes, carryOut, failureOf, host, port, putUser, tokenOf } from "./PortClients.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

it.live("a backup ends when its caller is no administrator any more", () =>
  Effect.gen(function*() {
    const { node, port: at } = yield* port({ clientAuth: "token" })
    yield* putUser(node, "operator", ["admin"])
    const { token } = yield* tokenOf(node, "operator")
    for (let i = 0; i < 100; i++) {
      yield* carryOut(node, { _tag: "Put", key: bytes(`key ${i}`), value: new Uint8Array(100_000), lease: 0 })
    }
    const connect = connectState({ connectTimeoutMs: 1_000, cluster: new KnownCluster(), token })
    const { backup } = yield* connect({ host, port: at })
    let taken = 0
    const failure = yield* Effect.flip(Stream.runForEach(backup, () => {
      taken += 1
      return taken === 1 ? putUser(node, "operator", []) : Effect.void
    }))
    assert.deepInclude(failure, { _tag: "Unauthorized", name: "operator" })
    assert.isBelow(taken, 20)
  }).pipe(Effect.scoped, quietly))

describe("a caller that was not asked who it is uses no name", () => {
  const cases: ReadonlyArray<readonly [string, boolean]> = [["at a port of no callers", false], [
    "at one that writes operations down",
    true
  ]]
  for (const [name, audited] of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const audit = audited
          ? yield* AuditLog.make(
            { file: "audit", events: "writes", strict: false, nodeId: 1 },
            () => Effect.succeed({ append: () => Effect.void, close: Effect.void })
          )
          : undefined
        const { node, port: at } = yield* port({ clientAuth: "none", audit })
        yield* putUser(node, "orders", [])
        const connection = yield* open(at)
        connection.send(call(ClientRpcs, 1, "client.Hello", { protocolVersion: clientProtocolVersion }))
        yield* connection.next
        const secret = new Uint8Array(16).fill(1)
        const commands = encodeBatch([
          encodeCommand({ _tag: "GrantLease", ttlMs: 60_000, caller: "orders" }),
          encodeCommand({ _tag: "OpenSession", ttlMs: 60_000, secret, owner: "mine", caller: "orders" })
        ])
        connection.send(call(ClientRpcs, 2, "client.Write", { commands }))
        assert.deepInclude(failureOf(exitOf(ClientRpcs, "client.Write", yield* connection.next)), { failures: [] })
        const [users] = yield* node.query([encodeQuery({ _tag: "Users", after: "", limit: 9 })], "linearizable")
        const reply = decodeReply(users as Uint8Array)
        assert.strictEqual(reply._tag, "UsersReply")
        assert.deepInclude("users" in reply ? reply.users[0] : undefined, { name: "orders", leases: 0, sessions: 0 })
      }).pipe(Effect.scoped, quietly))
  }
})
