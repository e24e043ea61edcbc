/** The settings of a node in the environment of its process. */
import { Config, Effect } from "effect"
import { InvalidConfig } from "./ConfigProblem.ts"
import type { FlareDbConfig } from "./FlareDbConfig.ts"
import type { Given } from "./Given.ts"
import { configOf } from "./Given.ts"
import { integerSettings, textSettings } from "./NodeSettings.ts"
import { variableOf } from "./Setting.ts"

const optional = <A>(names: Record<string, unknown>, read: (variable: string) => Config.Config<A>) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, Config.option(read(variableOf(name)))]))

const variables = Config.all({
  nodeId: Config.Int(variableOf("nodeId")),
  unsafeNoFsync: Config.Boolean(variableOf("unsafeNoFsync")).pipe(Config.withDefault(false)),
  ...optional(textSettings, (variable) => Config.String(variable)),
  ...optional(integerSettings, (variable) => Config.Int(variable))
}) as Config.Config<Given>

/** The variables that a node reads as its settings. */
export const nodeVariables: ReadonlyArray<string> = [
  "nodeId",
  ...Object.keys(textSettings),
  ...Object.keys(integerSettings),
  "unsafeNoFsync"
].map(variableOf)

/** The configuration from `FLAREDB_…` variables; only `FLAREDB_NODE_ID` is required. */
export const fromEnv: Effect.Effect<FlareDbConfig, InvalidConfig> = Effect.flatMap(variables, configOf).pipe(
  Effect.catchTag(
    "ConfigError",
    (error) =>
      Effect.fail(
        new InvalidConfig({ problems: [{ field: "environment", problem: error.message.replace(/\s+/g, " ") }] })
      )
  )
)
