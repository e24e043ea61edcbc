/** The API says what the client says: the same calls, once over HTTP and once by the services, have the same results. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Option } from "effect"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Compare, Op } from "../../../src/client/Txn.ts"
import { textOf } from "../../../src/client/Encoding.ts"
import type { KeyValueEntry } from "../../../src/client/KeyValue.ts"
import { failureOf } from "../../../src/http/api/Failures.ts"
import type { Asked } from "./ApiPort.ts"
import { json, port, quietly } from "./ApiPort.ts"

type Client = Context.Context<KeyValue | Leases>

interface Case {
  readonly name: string
  readonly http: readonly [path: string, asked?: Asked]
  readonly client: (services: Client) => Effect.Effect<unknown, { readonly _tag: string; readonly message: string }>
}

const kv = (services: Client) => Context.get(services, KeyValue)
const leases = (services: Client) => Context.get(services, Leases)

/** An entry as JSON has it. */
const entry = ({ createRevision, key, lease, modRevision, value, version }: KeyValueEntry, keysOnly = false) => ({
  key: textOf(key),
  ...(keysOnly ? {} : { value: textOf(value) }),
  createRevision,
  modRevision,
  version,
  ...(lease === 0 ? {} : { lease })
})

const put = (body: string): Asked => ({ method: "PUT", body })

const write: Case = {
  name: "put",
  http: ["/v1/keys/a/1", put("one")],
  client: (services) => kv(services).put("a/1", "one")
}

const cases: ReadonlyArray<Case> = [
  write,
  { ...write, name: "put again" },
  { name: "put another", http: ["/v1/keys/a/2", put("two")], client: (services) => kv(services).put("a/2", "two") },
  {
    name: "get",
    http: ["/v1/keys/a/1?as=json&readFrom=leader"],
    client: (services) =>
      Effect.map(kv(services).get("a/1", { readFrom: "leader" }), (found) => entry(Option.getOrThrow(found)))
  },
  {
    name: "scan a page",
    http: ["/v1/scan?prefix=a%2F&limit=1"],
    client: (services) =>
      Effect.map(kv(services).scan("a/", { limit: 1 }), (page) => ({
        entries: page.entries.map((one) => entry(one)),
        cursor: textOf(page.cursor as Uint8Array),
        revision: page.revision
      }))
  },
  {
    name: "scan the next page backwards, keys alone",
    http: ["/v1/scan?prefix=a%2F&cursor=a%2F2&reverse=true&keysOnly=true"],
    client: (services) =>
      Effect.map(kv(services).scan("a/", { cursor: "a/2", reverse: true, keysOnly: true }), (page) => ({
        entries: page.entries.map((one) => entry(one, true)),
        revision: page.revision
      }))
  },
  {
    name: "count",
    http: ["/v1/count?prefix=a%2F&consistency=stale"],
    client: (services) => Effect.map(kv(services).count("a/", { consistency: "stale" }), (count) => ({ count }))
  },
  {
    name: "transact",
    http: [
      "/v1/txn",
      json({
        if: [
          { key: "a/1", field: "value", is: "=", to: "one" },
          { key: "a/1", field: "version", is: ">=", to: 2 },
          { key: "a/3", exists: false }
        ],
        do: [
          { op: "put", key: "a/3", value: "three" },
          { op: "get", key: "a/1" },
          { op: "scan", prefix: "a/", limit: 2 },
          { op: "delete", key: "a/2" },
          { op: "deletePrefix", prefix: "none/" }
        ]
      })
    ],
    client: (services) =>
      Effect.map(
        kv(services).transact({
          if: [
            Compare.value("a/1").equals("one"),
            Compare.version("a/1").atLeast(2),
            Compare.missing("a/3")
          ],
          do: [
            Op.put("a/3", "three"),
            Op.get("a/1"),
            Op.scan("a/", { limit: 2 }),
            Op.delete("a/2"),
            Op.deletePrefix("none/")
          ]
        }),
        (txn) => {
          if (!txn.succeeded) return txn
          const { results: [created, found, page, deleted, count], revision, succeeded } = txn
          return {
            succeeded,
            revision,
            results: [
              { op: "put", created: created.created, version: created.version },
              { op: "get", entry: entry(Option.getOrThrow(found)) },
              { op: "scan", entries: page.entries.map((one) => entry(one)), more: page.more },
              { op: "delete", deleted: deleted.deleted },
              { op: "deletePrefix", deleted: count }
            ]
          }
        }
      )
  },
  {
    name: "delete",
    http: ["/v1/keys/a/3", { method: "DELETE" }],
    client: (services) => kv(services).delete("a/3")
  },
  {
    name: "grant",
    http: ["/v1/leases", json({ ttlMs: 60_000 })],
    client: (services) => Effect.map(leases(services).grant(60_000), ({ ttlMs }) => ({ ttlMs }))
  },
  // How calls fail.
  {
    name: "a key that is too long",
    http: [`/v1/keys/${"k".repeat(4_097)}`, put("x")],
    client: (services) => kv(services).put("k".repeat(4_097), "x")
  },
  {
    name: "a limit that is none",
    http: ["/v1/scan?limit=10001"],
    client: (services) => kv(services).scan("", { limit: 10_001 })
  },
  {
    name: "a cursor of another prefix",
    http: ["/v1/scan?prefix=a&cursor=b"],
    client: (services) => kv(services).scan("a", { cursor: "b" })
  },
  {
    name: "a lease that is none",
    http: ["/v1/keys/a?lease=999999", put("x")],
    client: (services) => kv(services).put("a", "x", { lease: 999_999 })
  },
  {
    name: "a time to live that is too short",
    http: ["/v1/leases", json({ ttlMs: 1 })],
    client: (services) => leases(services).grant(1)
  },
  {
    name: "a key that is written twice",
    http: ["/v1/txn", json({ do: [{ op: "put", key: "a", value: "1" }, { op: "delete", key: "a" }] })],
    client: (services) => kv(services).transact({ do: [Op.put("a", "1"), Op.delete("a")] })
  },
  {
    name: "a lease to be revoked that is none",
    http: ["/v1/leases/999999", { method: "DELETE" }],
    client: (services) => leases(services).revoke(999_999)
  }
]

describe("the API", () => {
  it.live(`answers ${cases.length} calls as the client does, refusals too`, () =>
    Effect.gen(function*() {
      const overHttp = yield* port()
      // A cluster of its own, so that revisions are the same.
      const { context } = yield* port()
      for (const { client, http: [path, asked], name } of cases) {
        const answer = yield* overHttp.ask(path, asked)
        const result = yield* Effect.match(client(context), { onSuccess: (value) => value, onFailure: failureOf })
        const wanted = name === "grant" ? { id: answer.json.id, ...result as object } : result
        assert.deepStrictEqual(answer.json, wanted, name)
      }
    }).pipe(Effect.scoped, quietly))
})
