/** The flags that configure one node: one for each setting. Each has a variable; a flag wins over it. */
import type { Option } from "effect"
import { Config, Effect } from "effect"
import { Flag } from "effect/cli"
import type { FlareDbConfig } from "../../config/FlareDbConfig.ts"
import type { Given } from "../../config/Given.ts"
import { configOf } from "../../config/Given.ts"
import type {
  ChoiceName,
  ChoiceSetting,
  IntegerName,
  SwitchName,
  SwitchSetting,
  TextName,
  TextSetting
} from "../../config/NodeSettings.ts"
import {
  choiceSettings,
  integerSettings,
  nodeIdText,
  switchSettings,
  writtenSettings
} from "../../config/NodeSettings.ts"
import type { PathName } from "../../config/Security.ts"
import type { IntegerSetting, Unit } from "../../config/Setting.ts"
import { flagOf, variableOf } from "../../config/Setting.ts"
import type { Failure } from "../output/Failure.ts"
import { failureOf } from "../output/Failure.ts"
import { makeSwitch } from "./Switch.ts"

const text = (name: string, { form, otherDefault, text }: TextSetting) =>
  Flag.String(flagOf(name)).pipe(
    Flag.withMetavar(form),
    Flag.withDescription(`${text}; default ${otherDefault} (${variableOf(name)})`),
    Flag.withFallbackConfig(Config.String(variableOf(name))),
    Flag.optional
  )

/** Checked with everything else, so that all problems are listed at once. */
const choice = (name: string, { choices, otherDefault, text: what }: ChoiceSetting) =>
  text(name, { form: choices.join("|"), otherDefault, text: what })

const switched = (name: string, { text }: SwitchSetting) =>
  makeSwitch(flagOf(name)).pipe(
    Flag.withDescription(`${text} (${variableOf(name)})`),
    Flag.withFallbackConfig(Config.Boolean(variableOf(name))),
    Flag.withDefault(false)
  )

const metavars: Record<Unit, string> = { milliseconds: "MS", bytes: "BYTES", count: "COUNT" }

const integer = (name: string, setting: IntegerSetting) =>
  Flag.Int(flagOf(name)).pipe(
    Flag.withMetavar(metavars[setting.unit]),
    Flag.withDescription(`${setting.text}; default ${setting.otherDefault ?? setting.default} (${variableOf(name)})`),
    Flag.withFallbackConfig(Config.Int(variableOf(name))),
    Flag.optional
  )

const each = <Name extends string, Setting, A>(
  settings: Record<Name, Setting>,
  flag: (name: Name, setting: Setting) => Flag.Flag<A>
) =>
  Object.fromEntries(
    (Object.entries(settings) as Array<[Name, Setting]>).map(([name, setting]) => [name, flag(name, setting)])
  ) as { readonly [N in Name]: Flag.Flag<A> }

export const nodeFlags = {
  nodeId: Flag.Int(flagOf("nodeId")).pipe(
    Flag.withMetavar("ID"),
    Flag.withDescription(`${nodeIdText} (${variableOf("nodeId")})`),
    Flag.withFallbackConfig(Config.Int(variableOf("nodeId")))
  ),
  ...each<TextName | PathName, TextSetting, Option.Option<string>>(writtenSettings, text),
  ...each<ChoiceName, ChoiceSetting, Option.Option<string>>(choiceSettings, choice),
  ...each<IntegerName, IntegerSetting, Option.Option<number>>(integerSettings, integer),
  ...each<SwitchName, SwitchSetting, boolean>(switchSettings, switched)
}

/** The configuration the flags make, or everything that is wrong with them. */
export const nodeConfig = (flags: Given): Effect.Effect<FlareDbConfig, Failure> =>
  Effect.mapError(configOf(flags), failureOf)
