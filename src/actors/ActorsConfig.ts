/**
 * Settings of the layers in `Actors.ts` that the environment may give. An option of the program comes first, then these
 * variables, then those of Effect's sharding (`SHARD_LOCK_EXPIRATION` …), then the defaults.
 *
 * @module
 */
import { Config, ConfigProvider, Duration, Effect } from "effect"
import { ShardingConfig } from "effect/cluster"
import { type ConfigProblem, InvalidConfig } from "../config/ConfigProblem.ts"
import type { MessageStorageOptions } from "./cluster/MessageStorage.ts"

type Settings = ShardingConfig.ShardingConfig["Service"]

/** Settings of the storage of runners: where it lies, what it keeps, and Effect's sharding. */
export interface StorageOptions extends MessageStorageOptions {
  /**
   * Settings of Effect's sharding. What is left out comes from its variables (`SHARD_LOCK_EXPIRATION` …), and then from
   * {@link shardingDefaults}.
   */
  readonly sharding?: Partial<Settings> | undefined
}

/** The variables, each with the option that it stands for. */
export const variables = {
  prefix: "FLAREDB_ACTORS_PREFIX",
  cluster: "FLAREDB_ACTORS_CLUSTER",
  keepProcessedFor: "FLAREDB_ACTORS_KEEP_PROCESSED_FOR",
  shardLockExpiration: "FLAREDB_ACTORS_SHARD_LOCK_EXPIRATION",
  shardLockRefreshInterval: "FLAREDB_ACTORS_SHARD_LOCK_REFRESH_INTERVAL",
  refreshAssignmentsInterval: "FLAREDB_ACTORS_REFRESH_ASSIGNMENTS_INTERVAL"
} as const

/**
 * Where we differ from Effect's defaults, as its variables. A lost runner's shards move when its lock ends. A runner
 * may stand still for two seconds, a lock's time less one refresh. The polls are backstops: runners and callers are
 * woken by what is stored. A runner that lost its locks finds those that are still free at the messages' poll. The
 * assignments' interval is a pause; the list of runners itself waits for news (`Membership`).
 */
export const shardingDefaults = {
  SHARD_LOCK_EXPIRATION: "3 seconds",
  SHARD_LOCK_REFRESH_INTERVAL: "1 second",
  REFRESH_ASSIGNMENTS_INTERVAL: "50 millis",
  ENTITY_MESSAGE_POLL_INTERVAL: "5 seconds",
  ENTITY_REPLY_POLL_INTERVAL: "5 seconds",
  RUNNER_HEALTH_CHECK_INTERVAL: "5 seconds"
} as const

const text = (name: string) => Config.option(Config.String(name))

/** A lock whose runner refreshes it less often than this many times within its time is lost by one slow answer. */
const refreshesPerLock = 2

/** Longest time that one lock may have: the store grants no lease for longer by default. */
export const maxLockMs = Duration.toMillis(Duration.days(7))

const millisOf = (input: Duration.Input): number => Duration.toMillis(Duration.fromInputUnsafe(input))

const lockProblems = ({ shardLockExpiration, shardLockRefreshInterval }: Settings): ReadonlyArray<ConfigProblem> => {
  const lockMs = millisOf(shardLockExpiration)
  const refreshMs = millisOf(shardLockRefreshInterval)
  const problems: Array<ConfigProblem> = []
  if (lockMs < 1_000 || lockMs > maxLockMs) {
    problems.push({
      field: "shardLockExpiration",
      problem: `${lockMs} ms; it must be 1 second to 7 days, which a lease may last (${variables.shardLockExpiration})`
    })
  }
  if (refreshMs <= 0 || refreshMs * refreshesPerLock >= lockMs) {
    problems.push({
      field: "shardLockRefreshInterval",
      problem: `${refreshMs} ms; it must be shorter than half of shardLockExpiration, which is ${lockMs} ms ` +
        `(${variables.shardLockRefreshInterval})`
    })
  }
  return problems
}

/** A duration of a variable, or what is wrong with it. */
const duration = (field: keyof typeof variables, value: string): Duration.Duration | ConfigProblem => {
  const parsed = Duration.fromInput(value as Duration.Input)
  if (parsed._tag === "Some" && Duration.toMillis(parsed.value) > 0) return parsed.value
  return {
    field,
    problem: `"${value}" of ${variables[field]} is no duration above zero, such as "5 seconds" or "7 days"`
  }
}

/** The options of a program, completed by the variables. */
export const withVariables = Effect.fnUntraced(function*<Options extends StorageOptions>(
  options: Options
): Effect.fn.Return<Options, InvalidConfig | Config.ConfigError> {
  const problems: Array<ConfigProblem> = []
  const named = yield* Config.all({ prefix: text(variables.prefix), cluster: text(variables.cluster) })
  const durationOf = Effect.fnUntraced(function*(field: keyof typeof variables) {
    const found = yield* text(variables[field])
    if (found._tag === "None") return {}
    const parsed = duration(field, found.value)
    if (Duration.isDuration(parsed)) return { [field]: parsed }
    problems.push(parsed)
    return {}
  })
  const keep = yield* durationOf("keepProcessedFor")
  const sharding = {
    ...yield* durationOf("shardLockExpiration"),
    ...yield* durationOf("shardLockRefreshInterval"),
    ...yield* durationOf("refreshAssignmentsInterval")
  }
  const completed = {
    ...(named.prefix._tag === "Some" ? { prefix: named.prefix.value } : {}),
    ...(named.cluster._tag === "Some" ? { cluster: named.cluster.value } : {}),
    ...keep,
    ...given(options),
    sharding: { ...sharding, ...given(options.sharding ?? {}) }
  }
  if (completed.cluster === "") problems.push({ field: "cluster", problem: `it is empty (${variables.cluster})` })
  if (problems.length > 0) return yield* new InvalidConfig({ problems })
  return completed as Options
})

/** Without the options that were given as `undefined`. */
const given = <Options extends object>(options: Options): Partial<Options> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<Options>

/** Sharding's settings: those given, then Effect's variables, then {@link shardingDefaults}. */
export const shardingConfig = Effect.fnUntraced(function*(
  sharding: Partial<Settings>
): Effect.fn.Return<Settings, InvalidConfig | Config.ConfigError> {
  const read = ConfigProvider.orElse(
    ConfigProvider.constantCase(ConfigProvider.fromEnv()),
    ConfigProvider.constantCase(ConfigProvider.fromEnv({ env: shardingDefaults }))
  )
  const config = yield* Effect.provideService(ShardingConfig.config, ConfigProvider.ConfigProvider, read)
  const settings = { ...config, ...given(sharding) }
  const problems = lockProblems(settings)
  return problems.length === 0 ? settings : yield* new InvalidConfig({ problems })
})
