/** Event journals and event log servers on three real nodes, used by two clients: the suites, and a whole event log. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import { PgClient } from "@effect/sql-pg"
import { assert, it as test, layer } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, References, Schedule, Schema, Scope, Stream } from "effect"
import type { EventLogMessage } from "effect/eventlog"
import {
  EventGroup,
  EventLog,
  EventLogEncryption,
  EventLogRemote,
  EventLogServerEncrypted,
  SqlEventJournal,
  SqlEventLogServerEncrypted,
  SqlEventLogServerUnencrypted
} from "effect/eventlog"
import { ChildProcess } from "effect/process"
import { RpcClient, RpcSerialization } from "effect/rpc"
import type { SqlClient } from "effect/sql"
import { createHash } from "node:crypto"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe } from "vitest"
import {
  layerEventJournal,
  layerEventLogStorageEncrypted,
  layerEventLogStorageUnencrypted
} from "../../src/actors/index.ts"
import type { ClientServices } from "../../src/client/RemoteClient.ts"
import { eventually } from "../Eventually.ts"
import type { ConformanceCase } from "../../src/testing/index.ts"
import { eventJournalCases, eventLogEncryptedCases, eventLogUnencryptedCases } from "../../src/testing/index.ts"
import type { Clients } from "./TwoClients.ts"
import { inTurn, TwoClients } from "./TwoClients.ts"
import { freePorts } from "../FreePorts.ts"
import * as Postgres from "./Postgres.ts"

const suites: ReadonlyArray<readonly [string, (clients: Clients) => ReadonlyArray<ConformanceCase>]> = [
  [
    "an event journal",
    (clients) => eventJournalCases({ journal: (name) => inTurn(clients, layerEventJournal({ name })) })
  ],
  [
    "an encrypted event log",
    (clients) => eventLogEncryptedCases({ storage: (name) => inTurn(clients, layerEventLogStorageEncrypted({ name })) })
  ],
  [
    "an unencrypted event log",
    (clients) =>
      eventLogUnencryptedCases({ storage: (name) => inTurn(clients, layerEventLogStorageUnencrypted({ name })) })
  ]
]

const Notes = EventGroup.empty.add({
  tag: "Noted",
  primaryKey: ({ author }) => author,
  payload: Schema.Struct({ author: Schema.String, n: Schema.Number })
})

const schema = EventLog.schema(Notes)

const server = Effect.fnUntraced(function*(endpoints: string, port: number) {
  const child = yield* ChildProcess.make(
    process.execPath,
    [fileURLToPath(new URL("./EventLogServer.ts", import.meta.url)), endpoints, String(port)],
    { stdin: "ignore", stderr: "inherit" }
  )
  const serving = yield* Deferred.make<void>()
  yield* Effect.forkScoped(child.stdout.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.runForEach((line) => line === "SERVING" ? Deferred.succeed(serving, undefined) : Effect.void),
    Effect.ignore
  ))
  yield* Deferred.await(serving)
  return child
})

/** An event log of one user that replicates with a server; `seen` says what its handlers were given. */
const device = Effect.fnUntraced(function*(
  name: string,
  options: {
    readonly client: Layer.Layer<ClientServices>
    readonly identity: EventLog.Identity["Service"]
    readonly port: number
  }
) {
  const seen: Array<string> = []
  const handlers = EventLog.group(
    Notes,
    (notes) =>
      notes.handle("Noted", ({ payload: { author, n } }) => Effect.sync(() => void seen.push(`${author} ${n}`)))
  )
  const log = EventLog.layer(schema, handlers).pipe(
    Layer.provideMerge(Layer.provide(layerEventJournal({ name }), options.client)),
    Layer.provide(Layer.succeed(EventLog.Identity, options.identity))
  )
  const remote = EventLogRemote.layerEncrypted.pipe(
    Layer.provide(RpcClient.layerProtocolSocket({ retryTransientErrors: true, retryPolicy: Schedule.spaced(100) })),
    Layer.provide(NodeSocket.layerNet({ host: "127.0.0.1", port: options.port })),
    Layer.provide(RpcSerialization.layerSchemaBinary())
  )
  const context = yield* Layer.build(Layer.fresh(Layer.provideMerge(remote, log)))
  const write = yield* Effect.provideContext(EventLog.makeClient(schema), context)
  return {
    seen,
    entries: Context.get(context, EventLog.EventLog).entries,
    write: (n: number) => write({ event: "Noted", payload: { author: name, n } })
  }
})

layer(TwoClients.layer, { excludeTestServices: true, timeout: 300_000 })("on three nodes", (it) => {
  for (const [what, cases] of suites) {
    for (const [i, { name }] of cases([]).entries()) {
      it.effect(
        `${what}: ${name}`,
        () => Effect.flatMap(TwoClients, ({ clients }) => cases(clients)[i]?.effect ?? Effect.void),
        300_000
      )
    }
  }

  it.effect(
    "two devices have all events in one order, also when server and leader are killed between them",
    () =>
      Effect.scoped(Effect.gen(function*() {
        const { clients, cluster } = yield* TwoClients
        const [port = 0] = yield* freePorts(1)
        const identity = yield* Effect.provide(EventLog.makeIdentity, EventLogEncryption.layerSubtle)
        const first = yield* server(cluster.endpointList, port)
        const devices = yield* Effect.forEach(
          ["one", "two"],
          (name, i) => device(name, { client: clients[i] as Layer.Layer<ClientServices>, identity, port })
        )
        const round = (from: number) =>
          Effect.forEach(
            devices,
            ({ write }) => Effect.forEach(Array.from({ length: 8 }, (_, i) => from + i), write, { discard: true }),
            { concurrency: "unbounded", discard: true }
          )
        yield* round(0)
        yield* first.kill({ killSignal: "SIGKILL" })
        yield* round(8)
        yield* server(cluster.endpointList, port)
        const leader = yield* Effect.provide(cluster.leader, clients[0] as Layer.Layer<ClientServices>)
        yield* leader.stop("SIGKILL")
        yield* round(16)
        const total = 2 * 24
        for (const { entries, seen } of devices) {
          // Its handlers are asked before its journal, which the nodes have to read.
          yield* eventually("the handlers of a device were given all events", () => new Set(seen).size === total)
          yield* eventually("a device has all events", Effect.map(entries, (all) => all.length === total))
        }
        const [ours, theirs] = yield* Effect.forEach(devices, ({ entries }) => entries)
        assert.deepStrictEqual(ours, theirs)
        // Each event of a device came in the order in which it was written, at the server as well.
        const storage = Context.get(
          yield* Layer.build(Layer.fresh(Layer.provide(layerEventLogStorageEncrypted(), clients[1]!))),
          EventLogServerEncrypted.Storage
        )
        const known = new Set<string>()
        const stored: Array<readonly [number, string]> = []
        yield* storage.changes(identity.publicKey, "default" as EventLogMessage.StoreId, 0).pipe(
          Stream.takeUntil(({ entryIds, sequence }) => {
            for (const [i, id] of entryIds.entries()) {
              const hex = Buffer.from(id).toString("hex")
              if (!known.has(hex)) stored.push([sequence + i, hex])
              known.add(hex)
            }
            return known.size === total
          }),
          Stream.runDrain
        )
        const authors = new Map((ours ?? []).map((entry) => [Buffer.from(entry.id).toString("hex"), entry.primaryKey]))
        for (const author of ["one", "two"]) {
          const ids = stored.map(([, id]) => id).filter((id) => authors.get(id) === author)
          assert.deepStrictEqual(ids, ids.toSorted(), `the order of ${author}`)
        }
        yield* Effect.provide(leader.start, NodeServices.layer)
        // Effect's event log says of each attempt that the server is away.
      })).pipe(Effect.provideService(References.MinimumLogLevel, "None"), Effect.provide(NodeServices.layer)),
    240_000
  )
})

if (!Postgres.isInstalled()) {
  test.skip(`the suites on PostgreSQL: ${Postgres.howToInstall}`, () => {})
} else {
  describe("Effect's own on PostgreSQL", () => {
    const scope = Scope.makeUnsafe()
    let database: Layer.Layer<SqlClient.SqlClient, unknown>
    beforeAll(async () => {
      const { host, port, username, database: create } = await Effect.runPromise(Scope.provide(Postgres.start, scope))
      const name = await Effect.runPromise(create("eventlog"))
      database = PgClient.layer({ host, port, username, database: name })
    }, 300_000)
    afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

    /** Tables of a name's own. */
    const table = (kind: string, name: string) =>
      `${kind}_${createHash("sha256").update(name).digest("hex").slice(0, 12)}`
    const over = <A, E>(own: Layer.Layer<A, E, SqlClient.SqlClient>) =>
      Layer.unwrap(Effect.sync(() => Layer.provide(own, database)))

    const onPostgres: ReadonlyArray<readonly [string, ReadonlyArray<ConformanceCase>]> = [
      [
        "an event journal",
        eventJournalCases({
          journal: (name) =>
            over(SqlEventJournal.layer({ entryTable: table("j", name), remotesTable: table("r", name) })),
          tellsOthers: false,
          anyText: false
        })
      ],
      [
        "an encrypted event log",
        eventLogEncryptedCases({
          storage: (name) =>
            over(SqlEventLogServerEncrypted.layerStorageSubtle({
              entryTablePrefix: table("e", name),
              remoteIdTable: table("i", name)
            })),
          tellsOthers: false,
          once: false,
          apart: false
        })
      ],
      [
        "an unencrypted event log",
        eventLogUnencryptedCases({
          storage: (name) =>
            over(SqlEventLogServerUnencrypted.layerStorage({
              entryTablePrefix: table("u", name),
              remoteIdTable: table("o", name)
            })),
          tellsOthers: false
        })
      ]
    ]
    for (const [what, cases] of onPostgres) {
      for (const { effect, name } of cases) test.live(`${what}: ${name}`, () => effect, 60_000)
    }
  })
}
