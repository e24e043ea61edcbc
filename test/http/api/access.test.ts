/** Who may do what over HTTP: each request is made as its caller, and written down like any other. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Redacted } from "effect"
import type { AuditEvents } from "../../../src/callers/AuditLog.ts"
import { AuditLog } from "../../../src/callers/AuditLog.ts"
import { Access } from "../../../src/client/Access.ts"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import type { Connection } from "../../../src/client/connection/Connection.ts"
import * as RemoteClient from "../../../src/client/RemoteClient.ts"
import { ClientRequests } from "../../../src/client/session/Requests.ts"
import * as FlareDb from "../../../src/FlareDb.ts"
import { Unavailable } from "../../../src/FlareDbError.ts"
import { RaftNode } from "../../../src/node/RaftNode.ts"
import * as NodeOperations from "../../../src/server/NodeOperations.ts"
import { WatchServer } from "../../../src/server/WatchServer.ts"
import { eventually } from "../../Eventually.ts"
import { hearing, putRole, putUser, tokenOf } from "../../server/PortClients.ts"
import type { Asked } from "./ApiPort.ts"
import { json, port, quietly } from "./ApiPort.ts"
import { open } from "./EventSource.ts"

interface Line {
  readonly name: string
  readonly operation: string
  readonly ranges: ReadonlyArray<string>
  readonly outcome: string
}

/** A log in memory. */
const logged = (events: AuditEvents) =>
  Effect.gen(function*() {
    let text = ""
    const log = yield* AuditLog.make({ file: "audit", events, strict: false, nodeId: 1 }, () =>
      Effect.succeed({
        append: (lines) =>
          Effect.sync(() => {
            text += lines
          }),
        close: Effect.void
      }))
    return { log, text: () => text, lines: () => text.trimEnd().split("\n").map((line): Line => JSON.parse(line)) }
  })

/** A port whose callers `alice` and `bob` may read and write keys with a prefix of their own. */
const secured = (events: AuditEvents = "writes", cluster?: typeof FlareDb.layerMemory) =>
  Effect.gen(function*() {
    const audit = yield* logged(events)
    const { ask, context, port: at } = yield* port({ callers: { clientAuth: "token", audit: audit.log } }, cluster)
    const node = Context.get(context, RaftNode)
    for (const name of ["alice", "bob"]) {
      yield* putRole(node, name, [`${name}/`], [`${name}/`])
      yield* putUser(node, name, [name])
    }
    const tokens = { alice: yield* tokenOf(node, "alice"), bob: yield* tokenOf(node, "bob") }
    const as = (name: keyof typeof tokens) => (path: string, asked: Asked = {}) =>
      ask(path, { ...asked, token: tokens[name].token })
    return { ask, as, at, audit, context, node, tokens }
  })

const put = (body: string, headers: Readonly<Record<string, string>> = {}): Asked => ({ method: "PUT", body, headers })

describe("callers over HTTP", () => {
  it.live("do what their roles allow, in every form of it", () =>
    Effect.gen(function*() {
      const { as, ask, audit } = yield* secured()
      const [alice, bob] = [as("alice"), as("bob")]
      const stranger = yield* ask("/v1/keys/alice/a")
      assert.deepInclude(stranger.json, { tag: "Unauthenticated", wasWritten: "no" })
      assert.strictEqual(stranger.headers["www-authenticate"], `Bearer realm="flaredb"`)
      assert.strictEqual((yield* alice("/v1/keys/alice/a", put("secret", { "idempotency-key": "1" }))).status, 200)
      assert.strictEqual((yield* alice("/v1/keys/alice/a")).text, "secret")
      const refused: ReadonlyArray<readonly [string, Asked?]> = [
        ["/v1/keys/alice/a"],
        ["/v1/keys/alice/a?consistency=stale"],
        ["/v1/keys/alice/a", put("x")],
        ["/v1/keys/alice/a", put("x", { "idempotency-key": "2" })],
        ["/v1/keys/alice/a", put("x", { "if-none-match": "*" })],
        ["/v1/keys/alice/a", { method: "DELETE" }],
        ["/v1/scan?prefix=alice"],
        ["/v1/scan"],
        ["/v1/count?prefix=alice%2F"],
        ["/v1/txn", json({ do: [{ op: "get", key: "alice/a" }] })],
        ["/v1/txn", json({ if: [{ key: "alice/a", exists: true }], do: [{ op: "put", key: "bob/a", value: "" }] })],
        ["/v1/txn", json({ do: [{ op: "deletePrefix", prefix: "" }] }, { "idempotency-key": "3" })],
        ["/v1/watch?prefix=alice%2F"],
        ["/v1/leases"]
      ]
      for (const [path, asked] of refused) {
        const { json: answer } = yield* bob(path, asked)
        assert.deepInclude(answer, { tag: "Unauthorized", name: "bob", wasWritten: "no" }, path)
      }
      assert.strictEqual((yield* alice("/v1/keys/alice/a")).text, "secret")
      // An id is its caller's: the same of another caller says nothing of this one's write.
      assert.isTrue((yield* bob("/v1/keys/bob/a", put("x", { "idempotency-key": "1" }))).json.created)
      // The document is for all who are known.
      assert.strictEqual((yield* bob("/v1/openapi.json")).status, 200)
      yield* eventually("the lines of the audit log", () => audit.lines().length >= refused.length)
      const lines = audit.lines()
      assert.isTrue(
        lines.some(({ name, operation, outcome, ranges }) =>
          name === "alice" && outcome === "ok" && operation === "Transact" && ranges.join().includes("alice/a")
        ),
        audit.text()
      )
      assert.isAtLeast(
        lines.filter(({ name, outcome }) => name === "bob" && outcome === "refused: Unauthorized").length,
        refused.length
      )
      assert.notInclude(audit.text(), "secret")
    }).pipe(Effect.scoped, quietly))

  it.live("own the leases that they are granted", () =>
    Effect.gen(function*() {
      const { as, context } = yield* secured()
      const grants = [json({ ttlMs: 60_000 }), json({ ttlMs: 60_000 }, { "idempotency-key": "lease" })]
      for (const grant of grants) {
        const { json: lease } = yield* as("alice")("/v1/leases", grant)
        const found = (yield* Context.get(context, Leases).list()).find(({ id }) => id === lease.id)
        assert.strictEqual(found?.caller, "alice")
        const stolen = yield* as("bob")(`/v1/keys/bob/a?lease=${lease.id}`, put("x"))
        assert.strictEqual(stolen.json.tag, "Unauthorized")
        assert.strictEqual((yield* as("bob")(`/v1/leases/${lease.id}`, { method: "DELETE" })).status, 403)
        assert.strictEqual((yield* as("alice")(`/v1/leases/${lease.id}`, { method: "DELETE" })).status, 200)
      }
    }).pipe(Effect.scoped, quietly))

  it.live("lose a watch with the role that it takes, and everything with their token", () =>
    Effect.gen(function*() {
      const { as, at, audit, context, node, tokens } = yield* secured("all")
      const headers = { authorization: `Bearer ${Redacted.value(tokens.alice.token)}` }
      const source = yield* open(at, "/v1/watch?prefix=alice%2F&heartbeatMs=100", headers)
      assert.strictEqual((yield* source.next).event, "began")
      yield* putRole(node, "alice", [], ["alice/"])
      const { data, event } = yield* source.next
      assert.strictEqual(event, "failure")
      assert.deepInclude(data, { tag: "Unauthorized", name: "alice" })
      yield* eventually("the end of the watch", () => source.isClosed())
      assert.strictEqual((yield* as("alice")("/v1/keys/alice/a")).status, 403)
      assert.strictEqual((yield* as("alice")("/v1/keys/alice/a", put("x"))).status, 200)
      const other = yield* open(at, "/v1/watch?prefix=bob%2F&heartbeatMs=100", {
        authorization: `Bearer ${Redacted.value(tokens.bob.token)}`
      })
      assert.strictEqual((yield* other.next).event, "began")
      yield* Context.get(context, Access).removeToken("bob", tokens.bob.id)
      const failure = yield* other.next
      assert.strictEqual(failure.event, "failure")
      assert.deepInclude(failure.data, { tag: "Unauthenticated" })
      yield* eventually("the lines of the watches that ended", () =>
        ([["alice", "refused: Unauthorized"], ["bob", "refused: Unauthenticated"]] as const).every(([name, outcome]) =>
          audit.lines().filter((line) =>
            line.name === name && line.outcome === outcome && line.operation === "Changes"
          ).length === 1
        ))
      yield* Context.get(context, Access).removeToken("alice", tokens.alice.id)
      const { json: unknown, status } = yield* as("alice")("/v1/keys/alice/a", put("x"))
      assert.deepInclude(unknown, { tag: "Unauthenticated" })
      assert.strictEqual(status, 401)
    }).pipe(Effect.scoped, quietly))

  it.live("are judged by a node that knows that it still leads", () =>
    Effect.gen(function*() {
      // Another node leads by now, and has changed the role.
      let change: (node: RaftNode["Service"]) => Effect.Effect<unknown> = () => Effect.void
      const deposed = hearing((node) => Effect.andThen(node.readBarrier, Effect.suspend(() => change(node))))
      const { as, at, node, tokens } = yield* secured("writes", deposed)
      const taken = (one: RaftNode["Service"]) => putRole(one, "alice", [], [])
      const given = (one: RaftNode["Service"]) => putRole(one, "alice", ["alice/"], ["alice/"])
      const headers = { authorization: `Bearer ${Redacted.value(tokens.alice.token)}` }
      const watched = Effect.gen(function*() {
        const source = yield* open(at, "/v1/watch?prefix=alice%2F", headers)
        return source.status
      }).pipe(Effect.scoped)
      const status = (path: string, asked?: Asked) => Effect.map(as("alice")(path, asked), (answer) => answer.status)
      const cases: ReadonlyArray<readonly [what: string, status: Effect.Effect<number | undefined>]> = [
        ["put", status("/v1/keys/alice/a", put("x"))],
        ["put with an id", status("/v1/keys/alice/b", put("x", { "idempotency-key": "b" }))],
        ["get", status("/v1/keys/alice/a")],
        ["get of what the leader has", status("/v1/keys/alice/a?consistency=stale&readFrom=leader")],
        ["watch", watched],
        ["delete", status("/v1/keys/alice/a", { method: "DELETE" })]
      ]
      for (const [what, asked] of cases) {
        change = taken
        assert.strictEqual(yield* asked, 403, `${what}, taken away`)
        yield* taken(node)
        change = given
        assert.strictEqual(yield* asked, 200, `${what}, given`)
      }
    }).pipe(Effect.scoped, quietly))

  it.live("are answered by the node that judged them, where they ask for no proof", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      let isStopping = false
      /** A client of the node in memory, and of one that is ahead of it in all it says. */
      const cluster = Layer.effectContext(Effect.gen(function*() {
        const services = yield* Layer.build(FlareDb.layerMemory)
        const [node, watches] = [Context.get(services, RaftNode), Context.get(services, WatchServer)]
        const operations = yield* NodeOperations.make(node, watches, "memory")
        const read = (name: string): Connection["read"] => (queries, consistency, from, done, traces) => {
          asked.push(name)
          if (name !== "own" || !isStopping) return operations.read(queries, consistency, from, done, traces)
          const stopping = new Unavailable({ reason: "the node stops" })
          done(Exit.succeed(queries.map(() => stopping)))
        }
        const [own, other] = [{ host: "own", port: 1 }, { host: "other", port: 2 }]
        const client = RemoteClient.layerConnect(
          { endpoints: [other, own] },
          ({ host }) => Effect.succeed({ ...operations, read: read(host) }),
          own
        )
        return Context.merge(services, yield* Effect.orDie(Layer.build(client)))
      }))
      const { as } = yield* secured("writes", cluster)
      yield* as("alice")("/v1/keys/alice/a", put("x"))
      const stale = (path: string) =>
        as("alice")(`${path}${path.includes("?") ? "&" : "?"}consistency=stale&timeoutMs=50`)
      for (const path of ["/v1/keys/alice/a", "/v1/scan?prefix=alice/", "/v1/count?prefix=alice/"]) {
        asked.length = 0
        isStopping = false
        assert.strictEqual((yield* stale(path)).status, 200, path)
        isStopping = true
        assert.deepInclude((yield* stale(path)).json, { wasWritten: "no", retry: "later" }, path)
        assert.deepStrictEqual([...new Set(asked)], ["own"], path)
      }
    }).pipe(Effect.scoped, quietly))

  it.live("lose what is tried again with the role that it takes", () =>
    Effect.gen(function*() {
      let attempts = 0
      /** Before each transaction of the API one of its keys changes, until the role is gone. */
      const contended = Layer.effectContext(Effect.gen(function*() {
        const services = yield* Layer.build(FlareDb.layerMemory)
        const own = Context.get(services, ClientRequests)
        const [kv, node] = [Context.get(services, KeyValue), Context.get(services, RaftNode)]
        const write: typeof own.write = (command, options) =>
          Effect.gen(function*() {
            if (command._tag === "Transact" && attempts < 2) {
              yield* Effect.orDie(kv.put("alice/flag", String(++attempts)))
              if (attempts === 2) yield* putRole(node, "alice", ["alice/"], [])
            }
            return yield* own.write(command, options)
          })
        return Context.add(services, ClientRequests, Object.assign(Object.create(own) as typeof own, { write }))
      }))
      const { as, audit, context } = yield* secured("writes", contended)
      const either = json({
        if: [{ key: "alice/flag", exists: true }],
        do: [{ op: "put", key: "alice/do", value: "x" }],
        else: [{ op: "put", key: "alice/else", value: "x" }]
      }, { "idempotency-key": "one" })
      const refused = yield* as("alice")("/v1/txn", either)
      assert.deepInclude(refused.json, { tag: "Unauthorized", name: "alice", wasWritten: "no" })
      assert.strictEqual(attempts, 2)
      assert.strictEqual(yield* Context.get(context, KeyValue).count("alice/"), 1)
      yield* eventually("its line", () => audit.text() !== "")
      assert.deepStrictEqual(audit.lines().map(({ operation, outcome }) => [operation, outcome]), [
        ["Transact", "refused: Unauthorized"]
      ])
    }).pipe(Effect.scoped, quietly))
})
