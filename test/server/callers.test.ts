/** Who may call the client port and what each caller may do, over real TCP and TLS. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Fiber, Layer, Option, Redacted, References, Stream } from "effect"
import { makeToken } from "../../src/kv/TokenSecret.ts"
import type { ClientOptions } from "../../src/client/ClientOptions.ts"
import { ClusterAdmin } from "../../src/client/ClusterAdmin.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Watch } from "../../src/client/Watch.ts"
import { clientProtocolVersion } from "../../src/protocol/ClientRpcs.ts"
import type { CallersConfig } from "../../src/server/AdmittedCallers.ts"
import { callRules } from "../../src/server/CallRules.ts"
import { eventually } from "../Eventually.ts"
import type { Wanted } from "../net/tls/TestCertificates.ts"
import { clientOf, nodeOf, TestAuthority } from "../net/tls/TestCertificates.ts"
import { call } from "../wire/Frames.ts"
import { bytes, carryOut, client, failureOf, host, port, putRole, putUser, tokenOf } from "./PortClients.ts"
import { ClientPort as Rpcs, toClients } from "./Payloads.ts"
import { exitOf, open } from "./RawConnection.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** What a caller without a role may get: nothing of anybody else's. */
const harmless: ReadonlySet<string> = new Set([
  "client.Status",
  "client.Vitals",
  "client.WatchProgress",
  "client.EndWatch"
])

const hello = (token: Redacted.Redacted | undefined) => ({
  protocolVersion: clientProtocolVersion,
  ...token === undefined ? {} : { token }
})

/** A connection whose Hello was answered. */
const connected = (at: number, token: Redacted.Redacted | undefined) =>
  Effect.gen(function*() {
    const connection = yield* open(at)
    connection.send(call(Rpcs, 1, "client.Hello", hello(token)))
    return { connection, welcome: exitOf(Rpcs, "client.Hello", yield* connection.next) }
  })

const tokens: CallersConfig = { clientAuth: "token" }

describe("a caller without a role", () => {
  for (const tag of Object.keys(callRules)) {
    if (tag === "client.Hello") continue
    it.live(`${tag} tells it nothing`, () =>
      Effect.gen(function*() {
        const { node, port: at } = yield* port(tokens)
        yield* putUser(node, "stranger", [])
        const { token } = yield* tokenOf(node, "stranger")
        const { connection, welcome } = yield* connected(at, token)
        assert.deepInclude(failureOf(welcome), { name: "stranger" })
        connection.send(call(Rpcs, 2, tag, toClients[tag as keyof typeof toClients]))
        const answer = yield* connection.next
        const exit = exitOf(Rpcs, tag, answer)
        if (harmless.has(tag)) return assert.isTrue(Exit.isSuccess(exit))
        // Of a watch that is not its own it learns that there is none.
        if (tag === "client.Changes") return assert.deepInclude(failureOf(exit), { _tag: "WatchCancelled" })
        const failure = failureOf(exit) as { readonly failures?: ReadonlyArray<{ readonly error: unknown }> }
        assert.deepInclude(failure.failures?.[0]?.error ?? failure, { _tag: "Unauthorized", name: "stranger" })
      }).pipe(Effect.scoped, quietly))
  }
})

describe("a Hello is refused", () => {
  const refusal = (config: CallersConfig, token: Redacted.Redacted | undefined, listen = host) =>
    Effect.gen(function*() {
      const { port: at } = yield* port(config, { listen: { host: listen, port: 0 } })
      const { connection, welcome } = yield* connected(at, token)
      connection.send(call(Rpcs, 2, "client.Status", undefined))
      assert.deepInclude(failureOf(exitOf(Rpcs, "client.Status", yield* connection.next)), { _tag: "NoHello" })
      return failureOf(welcome) as { readonly _tag: string; readonly reason: string }
    }).pipe(Effect.scoped, quietly)
  const { token: unknownToken } = makeToken("orders")

  it.live("without a token", () =>
    Effect.gen(function*() {
      assert.deepEqual({ ...yield* refusal(tokens, undefined) }, {
        _tag: "Unauthenticated",
        reason: "this node asks its callers for a token, and none was shown"
      })
    }))

  it.live("with a token that no user has", () =>
    Effect.gen(function*() {
      assert.match((yield* refusal(tokens, unknownToken)).reason, /^the token of orders is unknown, was removed or/)
    }))

  it.live("with one that is mistyped", () =>
    Effect.gen(function*() {
      const mistyped = Redacted.make(`${Redacted.value(unknownToken).slice(0, -1)}!`)
      assert.match((yield* refusal(tokens, mistyped)).reason, /checksum does not match/)
    }))

  it.live("with a token over a connection that others can read", () =>
    Effect.gen(function*() {
      assert.match((yield* refusal(tokens, unknownToken, "0.0.0.0")).reason, /not encrypted/)
    }))

  it.live("with a token where certificates are asked for", () =>
    Effect.gen(function*() {
      const found = yield* refusal({ clientAuth: "certificate" }, undefined)
      assert.match(found.reason, /asks its callers for a client's certificate, and none was shown/)
    }))
})

describe("a client", () => {
  it.live("does what its roles allow, and the others of a call are not hurt", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* port(tokens)
      yield* putRole(node, "a", ["a/"], ["a/"])
      yield* putUser(node, "orders", ["a"])
      const { token } = yield* tokenOf(node, "orders")
      const services = yield* client(at, { token })
      const kv = Context.get(services, KeyValue)
      const results = yield* Effect.all(
        [kv.put("a/1", "x"), kv.put("b/1", "x"), kv.put("a/2", "x")].map((put) => Effect.exit(put)),
        { concurrency: "unbounded" }
      )
      assert.deepEqual(results.map((exit) => Exit.isSuccess(exit)), [true, false, true])
      assert.deepEqual({ ...failureOf(results[1] as Exit.Exit<unknown, unknown>) as object }, {
        _tag: "Unauthorized",
        name: "orders",
        what: "write \"b/1\""
      })
      assert.deepInclude(yield* Effect.flip(kv.get("b/1")), { _tag: "Unauthorized", what: "read \"b/1\"" })
    }).pipe(Effect.scoped, quietly))

  it.live("fails at once when the node does not know it", () =>
    Effect.gen(function*() {
      const { port: at } = yield* port(tokens)
      const services = yield* client(at, { token: makeToken("orders").token, requestTimeoutMs: 60_000 })
      const kv = Context.get(services, KeyValue)
      assert.deepInclude(yield* Effect.flip(kv.put("a", "1")), { _tag: "Unauthenticated" })
      assert.deepInclude(yield* Effect.flip(kv.get("a")), { _tag: "Unauthenticated" })
      assert.deepInclude(
        yield* Effect.flip(Stream.runDrain(Context.get(services, Watch).changes({ prefix: "" }))),
        { _tag: "Unauthenticated" }
      )
      assert.deepInclude(yield* Effect.flip(Context.get(services, ClusterAdmin).identity), { _tag: "Unauthenticated" })
    }).pipe(Effect.scoped, quietly))

  it.live("sends no token where others could read it", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(RemoteClient.layer({
        endpoints: [{ host: "db.example", port: 1 }],
        token: makeToken("orders").token
      })))
      assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /not sent to db\.example:1 without TLS/)
    }).pipe(Effect.scoped))

  it.live("shows another token once its own was removed", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* port(tokens)
      yield* putRole(node, "all", [""], [""])
      yield* putUser(node, "orders", ["all"])
      const first = yield* tokenOf(node, "orders")
      let shown = first.token
      const services = yield* client(at, { token: Effect.sync(() => shown) })
      const kv = Context.get(services, KeyValue)
      yield* kv.put("a", "1")
      shown = (yield* tokenOf(node, "orders")).token
      yield* carryOut(node, { _tag: "RemoveToken", user: "orders", token: first.id })
      yield* kv.put("a", "2")
      assert.strictEqual(Option.getOrThrow(yield* kv.get("a")).text, "2")
    }).pipe(Effect.scoped, quietly))
})

describe("what is taken away", () => {
  it.live("a role ends a watch", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* port(tokens)
      yield* putRole(node, "a", ["a/"], [])
      yield* putUser(node, "orders", ["a"])
      const { token } = yield* tokenOf(node, "orders")
      const services = yield* client(at, { token })
      const seen: Array<string> = []
      const watching = yield* Effect.forkChild(Effect.flip(
        Context.get(services, Watch).notices({ prefix: "a/" }).pipe(
          Stream.runForEach(({ _tag }) => Effect.sync(() => seen.push(_tag)))
        )
      ))
      yield* eventually("the watch begins", Effect.sync(() => seen.includes("Began")))
      yield* putUser(node, "orders", [])
      yield* carryOut(node, { _tag: "Put", key: bytes("a/1"), value: bytes("secret"), lease: 0 })
      assert.deepInclude(yield* Fiber.join(watching), {
        _tag: "Unauthorized",
        name: "orders"
      })
      assert.notInclude(seen, "Changes")
    }).pipe(Effect.scoped, quietly))

  it.live("a token ends the connections that it opened", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* port(tokens)
      yield* putUser(node, "orders", [])
      const { id, token } = yield* tokenOf(node, "orders")
      const { connection } = yield* connected(at, token)
      yield* carryOut(node, { _tag: "RemoveToken", user: "orders", token: id })
      connection.send(call(Rpcs, 2, "client.Status", undefined))
      const failure = failureOf(exitOf(Rpcs, "client.Status", yield* connection.next))
      assert.deepInclude(failure, { _tag: "Unauthenticated" })
      yield* Effect.timeout(connection.closed, "5 seconds")
    }).pipe(Effect.scoped, quietly))

  it.live("a token ends a connection that says nothing more", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* port(tokens)
      yield* putUser(node, "orders", [])
      const { id, token } = yield* tokenOf(node, "orders")
      const { connection } = yield* connected(at, token)
      yield* carryOut(node, { _tag: "RemoveToken", user: "orders", token: id })
      yield* Effect.timeout(connection.closed, "5 seconds")
    }).pipe(Effect.scoped, quietly))
})

describe("the bootstrap token", () => {
  it.live("is the administrator until there is a name", () =>
    Effect.gen(function*() {
      const bootstrapToken = Redacted.make("a text of the operator's own")
      const { node, port: at } = yield* port({ ...tokens, bootstrapToken })
      const first = yield* client(at, { token: bootstrapToken })
      yield* Context.get(first, KeyValue).put("a", "1")
      yield* tokenOf(node, "admin")
      assert.deepInclude(yield* Effect.flip(Context.get(first, KeyValue).put("a", "2")), { _tag: "Unauthenticated" })
      const second = yield* client(at, { token: bootstrapToken })
      assert.deepInclude(yield* Effect.flip(Context.get(second, KeyValue).put("a", "2")), {
        _tag: "Unauthenticated",
        reason: "the bootstrap token is of no effect any more: the cluster has users; show a token of one"
      })
    }).pipe(Effect.scoped, quietly))
})

it.live("with none there is no caller, and a token is not looked at", () =>
  Effect.gen(function*() {
    const { port: at } = yield* port({ clientAuth: "none" })
    const { welcome } = yield* connected(at, makeToken("orders").token)
    assert.deepInclude(failureOf(welcome), { name: null })
  }).pipe(Effect.scoped, quietly))

describe("over TLS", () => {
  const authority = new TestAuthority()
  const secured = (mode: "accept" | "on", callers: CallersConfig) =>
    port(callers, {
      clusterId: "orders",
      tls: { mode, credentials: authority.credentials(nodeOf(1)), cluster: "orders", demand: "optional" }
    })
  const withCertificate = (name: Wanted | undefined, more: Partial<ClientOptions> = {}): Partial<ClientOptions> => ({
    tls: { credentials: authority.credentials(name), cluster: "orders" },
    ...more
  })
  const write = (at: number, options: Partial<ClientOptions>) =>
    Effect.flatMap(client(at, options), (services) => Effect.exit(Context.get(services, KeyValue).put("a/1", "x")))

  it.live("a certificate names its caller, and needs no token", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* secured("on", { clientAuth: "either" })
      yield* putRole(node, "a", ["a/"], ["a/"])
      yield* putUser(node, "shop", ["a"])
      for (const wanted of [clientOf("shop"), clientOf("admin"), nodeOf(2)]) {
        assert.isTrue(Exit.isSuccess(yield* write(at, withCertificate(wanted))), JSON.stringify(wanted.uris))
      }
      assert.deepInclude(failureOf(yield* write(at, withCertificate(clientOf("stranger")))), {
        _tag: "Unauthorized",
        name: "stranger"
      })
      assert.match(
        String(failureOf(yield* write(at, withCertificate(undefined)))),
        /asks its callers for a client's certificate or a token, and none was shown/
      )
    }).pipe(Effect.scoped, quietly))

  it.live("a token and a certificate are of one name", () =>
    Effect.gen(function*() {
      const { node, port: at } = yield* secured("on", { clientAuth: "either" })
      yield* putUser(node, "shop", ["admin"])
      const { token } = yield* tokenOf(node, "shop")
      assert.isTrue(Exit.isSuccess(yield* write(at, withCertificate(undefined, { token }))))
      assert.isTrue(Exit.isSuccess(yield* write(at, withCertificate(clientOf("shop"), { token }))))
      assert.match(
        String(failureOf(yield* write(at, withCertificate(clientOf("other"), { token })))),
        /the certificate is of other and the token of shop/
      )
    }).pipe(Effect.scoped, quietly))

  it.live("a token is not enough where certificates are asked for, nor a certificate where tokens are", () =>
    Effect.gen(function*() {
      const first = yield* secured("on", { clientAuth: "certificate" })
      const { token } = yield* tokenOf(first.node, "admin")
      assert.match(
        String(failureOf(yield* write(first.port, withCertificate(undefined, { token })))),
        /asks its callers for a client's certificate, and none was shown/
      )
      const second = yield* secured("on", tokens)
      assert.match(
        String(failureOf(yield* write(second.port, withCertificate(clientOf("shop"))))),
        /asks its callers for a token, and the certificate of shop is not asked for/
      )
      // Raft trusts its members, and an embedded node's client has no token.
      assert.isTrue(Exit.isSuccess(yield* write(second.port, withCertificate(nodeOf(2)))))
    }).pipe(Effect.scoped, quietly))

  it.live("while it is being turned on, plain connections are let in as before", () =>
    Effect.gen(function*() {
      const { port: at } = yield* secured("accept", { clientAuth: "either" })
      assert.isTrue(Exit.isSuccess(yield* write(at, {})))
      assert.match(String(failureOf(yield* write(at, withCertificate(undefined)))), /none was shown/)
    }).pipe(Effect.scoped, quietly))
})
