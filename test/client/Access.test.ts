/** Roles, users and tokens as a service, at a node that asks its callers who they are. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Logger, Redacted, References } from "effect"
import { Access } from "../../src/client/Access.ts"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { client, port, tokenOf } from "../server/PortClients.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

const administered = Effect.gen(function*() {
  const { node, port: at } = yield* port({ clientAuth: "token" })
  const services = yield* client(at, { token: (yield* tokenOf(node, "admin")).token })
  return { at, access: Context.get(services, Access) }
})

describe("Access", () => {
  it.live("makes users that may do what their roles allow", () =>
    Effect.gen(function*() {
      const { access, at } = yield* administered
      yield* access.putRole("orders", { read: ["orders/"], write: ["orders/"] })
      yield* access.putUser("shop", { roles: ["orders"] })
      const { id, token } = yield* access.createToken("shop")
      const shop = yield* client(at, { token })
      assert.strictEqual(yield* Context.get(shop, Access).whoami, "shop")
      yield* Context.get(shop, KeyValue).put("orders/1", "x")
      assert.deepInclude(yield* Effect.flip(Context.get(shop, Access).users()), { _tag: "Unauthorized", name: "shop" })
      assert.deepInclude(yield* Effect.flip(Context.get(shop, Access).putUser("shop", { roles: ["admin"] })), {
        _tag: "Unauthorized"
      })
      const { more, rows } = yield* access.users({ after: "admin" })
      assert.isFalse(more)
      assert.deepInclude(rows[0], { name: "shop", roles: ["orders"], maxLeases: 1_000, sessions: 1 })
      assert.deepEqual(rows[0]?.tokens.map((row) => row.token), [id])
      assert.deepEqual((yield* access.roles()).rows.map(({ name }) => name), ["orders"])
      yield* access.removeToken("shop", id)
      // The node closes the connection. A write under way then has no known outcome; a read fails for what it is.
      const { get, put } = Context.get(shop, KeyValue)
      assert.deepInclude(yield* Effect.flip(get("orders/1")), { _tag: "Unauthenticated" })
      assert.deepInclude(yield* Effect.flip(put("orders/1", "y")), { _tag: "Unauthenticated" })
      yield* access.deleteUser("shop")
      yield* access.deleteRole("orders")
      assert.lengthOf((yield* access.roles()).rows, 0)
    }).pipe(Effect.scoped, quietly))

  it.live("says what is wrong before it sends anything, and what the store refuses", () =>
    Effect.gen(function*() {
      const { access } = yield* administered
      assert.deepInclude(yield* Effect.flip(access.createToken("no name")), { _tag: "InvalidArgument", field: "user" })
      assert.deepInclude(yield* Effect.flip(access.createToken("shop", { expiresInMs: 0 })), {
        _tag: "InvalidArgument",
        field: "expiresInMs"
      })
      assert.match((yield* Effect.flip(access.createToken("shop", { expiresInMs: 1e15 }))).message, /36500 days/)
      assert.deepInclude(yield* Effect.flip(access.putUser("shop", { roles: ["none"] })), { _tag: "InvalidArgument" })
      assert.deepInclude(yield* Effect.flip(access.deleteRole("none")), { _tag: "InvalidArgument", field: "name" })
      assert.deepInclude(yield* Effect.flip(access.createToken("shop")), { _tag: "InvalidArgument" })
    }).pipe(Effect.scoped, quietly))

  it.live("has secrets in no log, error or printed option", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const log = Logger.make(({ message }) => void lines.push(JSON.stringify(message)))
      const told = yield* Effect.gen(function*() {
        const { access, at } = yield* administered
        yield* access.putUser("shop", { roles: [] })
        const { id, token } = yield* access.createToken("shop")
        const shop = yield* client(at, { token })
        const refused = yield* Effect.flip(Context.get(shop, KeyValue).put("a", "1"))
        yield* access.removeToken("shop", id)
        const unknown = yield* Effect.flip(Context.get(yield* client(at, { token }), KeyValue).get("a"))
        const mistyped = Redacted.make(Redacted.value(token).replace(/.$/, "!"))
        const malformed = yield* Effect.flip(
          Context.get(yield* client(at, { token: mistyped }), KeyValue).get("a")
        )
        const secret = Redacted.value(token).slice("fdb_shop_".length, -1)
        return { secret, text: [refused, unknown, malformed, { token }].map((one) => `${one} ${JSON.stringify(one)}`) }
      }).pipe(Effect.scoped, Effect.provide(Logger.layer([log])))
      assert.isAbove(lines.length, 0)
      for (const text of [...told.text, ...lines]) assert.notInclude(text, told.secret)
    }))
})
