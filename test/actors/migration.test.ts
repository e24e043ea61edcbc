/** What a migration refuses, and how it says so; `test/cluster/actors-migrate.test.ts` moves a whole program. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { createHash } from "node:crypto"
import { ClusterKeys } from "../../src/actors/cluster/ClusterKeys.ts"
import { RowRefused, writing } from "../../src/actors/migration/Failures.ts"
import { DriverImport, layerSource, sourceOf } from "../../src/actors/migration/index.ts"
import { maxPageBytes, maxRowBytes, pageOf } from "../../src/actors/migration/Part.ts"
import { Indeterminate, InvalidArgument } from "../../src/FlareDbError.ts"

describe("the source", () => {
  it.effect("is a PostgreSQL URL, and messages name it without its password", () =>
    Effect.gen(function*() {
      const source = yield* sourceOf("postgresql://app:secret@db:5433/orders")
      assert.strictEqual(source.name, "postgres://db:5433/orders")
      for (
        const [url, problem] of [
          ["orders", /is no URL/],
          ["mysql://db/orders", /is a mysql URL; only PostgreSQL is supported/],
          ["sqlite:///orders.db", /only PostgreSQL/],
          ["postgres://db", /names no host or no database/]
        ] as const
      ) assert.match((yield* Effect.flip(sourceOf(url))).message, problem)
    }))

  it.effect("cannot be read without its driver, which the error names", () =>
    Effect.gen(function*() {
      const source = yield* sourceOf("postgres://db/orders")
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layerSource(source)))).pipe(
        Effect.provideService(DriverImport, () => Promise.reject(new Error("Cannot find package")))
      )
      assert.strictEqual(error._tag, "SqlDriverMissing")
      assert.match(error.message, /needs the package @effect\/sql-pg.*Cannot find package.*npm install @effect\/sql-pg/)
    }))

  it.live("that does not listen is named, and why", () =>
    Effect.gen(function*() {
      const source = yield* sourceOf("postgres://app:secret@127.0.0.1:1/orders")
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layerSource(source))))
      assert.strictEqual(error._tag, "SourceUnreachable")
      assert.match(error.message, /no connection to postgres:\/\/127\.0\.0\.1:1\/orders: /)
      assert.notInclude(error.message, "secret")
    }))
})

describe("a page", () => {
  const heads = (...sizes: ReadonlyArray<number>) =>
    sizes.map((bytes, i) => ({ place: String(i), id: `id ${i}`, bytes }))

  it.effect("ends before more bytes than are read at once", () =>
    Effect.gen(function*() {
      const row = maxRowBytes
      const fitting = Math.floor(maxPageBytes / row)
      const page = yield* pageOf("t", heads(...Array.from({ length: fitting + 3 }, () => row)))
      assert.deepStrictEqual(page, { last: String(fitting - 1), rows: fitting, bytes: fitting * row })
      assert.isUndefined(yield* pageOf("t", []))
    }))

  it.effect("ends before a row that no value has room for, which is refused by its id at the beginning of a page", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* pageOf("t", heads(1, 2, maxRowBytes + 1)))?.rows, 2)
      const error = yield* Effect.flip(pageOf("messages", heads(maxRowBytes + 1)))
      assert.match(
        error.message,
        new RegExp(`row id 0 of messages .* ${maxRowBytes + 1} bytes; at most ${maxRowBytes}`)
      )
    }))
})

describe("a write", () => {
  it.live("is repeated when its answer was lost, and is not when FlareDB refuses it", () =>
    Effect.gen(function*() {
      let times = 0
      const lost = Effect.suspend(() =>
        ++times < 3 ? Effect.fail(new Indeterminate({ reason: "the connection was closed" })) : Effect.succeed("stored")
      )
      assert.strictEqual(yield* writing("t", "1")(lost), "stored")
      const refused = Effect.fail({
        _tag: "PersistenceError",
        cause: new InvalidArgument({ field: "value", problem: "has 2000000 bytes; at most 1048576 are allowed" })
      })
      const error = yield* Effect.flip(writing("messages", "17")(refused))
      assert.instanceOf(error, RowRefused)
      assert.match((error as RowRefused).message, /row 17 of messages .*has 2000000 bytes/)
    }))
})

describe("primary keys", () => {
  const keys = new ClusterKeys({})

  it("of more than 255 characters are found by the hash that SQL keeps of them", () => {
    for (const long of ["x/".repeat(128), "ü/".repeat(700)]) {
      const digest = createHash("sha256").update(long).digest("hex")
      assert.strictEqual(keys.primaryKey(long), keys.primaryKey(digest))
      assert.strictEqual(keys.keyed("Account", "alice", long), keys.keyed("Account", "alice", digest))
    }
    assert.strictEqual(keys.keyed("Account", "alice", "Account/alice/Add/1"), "fx/c/default/A/Account/=alice/=Add%2F1")
    assert.isUndefined(keys.keyed("Account", "bob", "Account/alice/Add/1"))
    assert.strictEqual(keys.primaryKey("Account/alice/Add/1"), "fx/c/default/P/=Account%2Falice%2FAdd%2F1")
  })

  it("without UTF-8 are apart from each other", () => {
    const [one, other] = ["\ud800", "\ud801"].map((surrogate) => keys.primaryKey(`${"x/".repeat(200)}${surrogate}`))
    assert.notStrictEqual(one, other)
  })
})
