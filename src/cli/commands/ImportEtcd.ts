/** `flaredb import etcd`: from a running etcd into FlareDB. */
import { Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import type { IfExists } from "../import/Rules.ts"
import { existingModes, statePrefix } from "../import/Rules.ts"
import { clientFlags, withClient } from "../input/ClientFlags.ts"
import { lookFlags, oneLook } from "../input/CopyFlags.ts"
import { withDefault } from "../input/DefaultValue.ts"
import { durationFlag } from "../input/Duration.ts"
import { encodings, read } from "../input/Encoding.ts"
import type { Encoding } from "../input/Encoding.ts"
import { etcdFlags, etcdOptions } from "../input/EtcdFlags.ts"
import { makeSwitch } from "../input/Switch.ts"
import { failureOf, wrongUsage } from "../output/Failure.ts"
import { progressFlag } from "../output/Progress.ts"

const flags = {
  ...clientFlags,
  ...etcdFlags,
  prefix: Flag.String("prefix").pipe(withDefault("the keys of etcd that are imported, by their beginning", "", "all")),
  toPrefix: Flag.String("to-prefix").pipe(
    Flag.withDescription("what the keys begin with in FlareDB in place of --prefix; default the same"),
    Flag.optional
  ),
  keyEncoding: Flag.Literals("key-encoding", encodings).pipe(
    withDefault<Encoding>("how the two prefixes are written", "text")
  ),
  ifExists: Flag.Literals("if-exists", existingModes).pipe(
    withDefault<IfExists>("what becomes of a key that is in FlareDB with another value or lease", "fail")
  ),
  exact: makeSwitch("exact").pipe(
    Flag.withDescription(
      "delete what FlareDB has under the prefix and etcd has not; to --verify-only it is a difference; default: keep " +
        "it, and compare the keys of etcd alone"
    ),
    Flag.withDefault(false)
  ),
  all: makeSwitch("all").pipe(
    Flag.withDescription("with --exact and no prefix: yes, every other key of the store; default no"),
    Flag.withDefault(false)
  ),
  skipRefused: makeSwitch("skip-refused").pipe(
    Flag.withDescription("leave out what FlareDB does not take; default: list it, and import nothing"),
    Flag.withDefault(false)
  ),
  maxLease: durationFlag("max-lease").pipe(
    Flag.withDescription("most time that a lease gets; default what it has left in etcd"),
    Flag.optional
  ),
  rate: Flag.Int("rate").pipe(
    Flag.withMetavar("KEYS"),
    Flag.withDescription("most keys that are read from etcd in a second; default no bound"),
    Flag.optional
  ),
  restart: makeSwitch("restart").pipe(
    Flag.withDescription("read etcd's current revision from the first key on; default: go on with what was begun"),
    Flag.withDefault(false)
  ),
  ...lookFlags(
    "only say what there is, and what would hinder the import; default: import",
    "verify-only",
    "write nothing: compare every key of etcd's current revision; default: import, then compare"
  ),
  progress: progressFlag
}

const etcd = Command.make("etcd", flags, (flags) =>
  Effect.gen(function*() {
    const { all, exact, maxLease, rate } = flags
    yield* oneLook(flags, "verify-only")
    if (Option.isSome(rate) && rate.value < 1) return yield* wrongUsage(`--rate ${rate.value} is not at least 1`)
    if (Option.isSome(maxLease) && maxLease.value < 1_000) return yield* wrongUsage("--max-lease is less than 1s")
    const prefix = yield* read("prefix", flags.prefix, flags.keyEncoding)
    const toPrefix = Option.isNone(flags.toPrefix)
      ? prefix
      : yield* read("to-prefix", flags.toPrefix.value, flags.keyEncoding)
    if (Buffer.from(toPrefix).toString().startsWith(statePrefix)) {
      return yield* wrongUsage(`imports keep their state under ${statePrefix}; take another --to-prefix`)
    }
    if (exact && toPrefix.byteLength === 0 && !all) {
      return yield* wrongUsage("--exact without a prefix is about every key of the store; add --all if it is meant")
    }
    const options = yield* etcdOptions(flags, flags.timeout)
    // HTTP is loaded here, because the other commands do not need it.
    const { runImport } = yield* Effect.promise(() => import("../import/RunImport.ts"))
    const command = runImport(options, flags, {
      prefix,
      toPrefix,
      ifExists: flags.ifExists,
      exact,
      skipRefused: flags.skipRefused,
      restart: flags.restart,
      keysPerSecond: Option.getOrUndefined(rate),
      maxLeaseMs: Option.getOrUndefined(maxLease)
    })
    yield* withClient(flags, Effect.scoped(command))
  }).pipe(Effect.mapError(failureOf))).pipe(
    Command.withDescription(
      "Copy keys, values and leases of a running etcd (3.4 and later, over its JSON gateway) as they are at one " +
        "revision, and compare both sides. etcd is only read. Started again, it goes on where it was."
    ),
    Command.withExamples([
      { command: "flaredb import etcd --from http://10.0.0.1:2379 --dry-run", description: "What there is to import" },
      { command: "flaredb import etcd --from http://10.0.0.1:2379", description: "Import all, and compare" },
      {
        command: "flaredb import etcd --from http://10.0.0.1:2379 --prefix /app/ --to-prefix app/",
        description: "Keys with one prefix, under another"
      },
      {
        command: "flaredb import etcd --from http://10.0.0.1:2379 --restart --if-exists replace --exact --all",
        description: "Bring what was imported up to etcd's current revision"
      },
      { command: "flaredb import etcd --from http://10.0.0.1:2379 --verify-only", description: "Compare every key" }
    ])
  )

export const importing = Command.make("import").pipe(
  Command.withDescription("Copy what another store has."),
  Command.withSubcommands([etcd]),
  Command.withExamples([{ command: "flaredb import etcd --from http://10.0.0.1:2379", description: "From etcd" }])
)
