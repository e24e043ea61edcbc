/** The settings of a node in the environment of its process. */
import { Config, Effect } from "effect"
import { InvalidConfig } from "./ConfigProblem.ts"
import type { FlareDbConfig } from "./FlareDbConfig.ts"
import type { Given } from "./Given.ts"
import { configOf } from "./Given.ts"
import { choiceSettings, integerSettings, switchSettings, writtenSettings } from "./NodeSettings.ts"
import { variableOf } from "./Setting.ts"

const optional = <A>(names: Record<string, unknown>, read: (variable: string) => Config.Config<A>) =>
  Object.fromEntries(Object.keys(names).map((name) => [name, Config.option(read(variableOf(name)))]))

const variables = Config.all({
  nodeId: Config.Int(variableOf("nodeId")),
  ...Object.fromEntries(
    Object.keys(switchSettings).map((name) => [name, Config.withDefault(Config.Boolean(variableOf(name)), false)])
  ),
  ...optional(writtenSettings, (variable) => Config.String(variable)),
  ...optional(choiceSettings, (variable) => Config.String(variable)),
  ...optional(integerSettings, (variable) => Config.Int(variable))
}) as Config.Config<Given>

/** The variables that a node reads as its settings. */
export const nodeVariables: ReadonlyArray<string> = [
  "nodeId",
  ...Object.keys(writtenSettings),
  ...Object.keys(choiceSettings),
  ...Object.keys(integerSettings),
  ...Object.keys(switchSettings)
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
