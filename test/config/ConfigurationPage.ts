/** The tables of `docs/configuration.md`: a row for each setting. */
import { limitSettings } from "../../src/config/Limits.ts"
import type { SwitchName } from "../../src/config/NodeSettings.ts"
import {
  choiceSettings,
  nodeIdText,
  otlpTextSettings,
  pathSettings,
  switchSettings,
  textSettings,
  timingSettings
} from "../../src/config/NodeSettings.ts"
import { otlpIntegerSettings } from "../../src/config/Otlp.ts"
import type { IntegerSetting } from "../../src/config/Setting.ts"
import { flagOf, formatValue, variableOf } from "../../src/config/Setting.ts"

const row = (...cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const names = (name: string): string => `\`${name}\`<br>\`--${flagOf(name)}\`<br>\`${variableOf(name)}\``

const rangeOf = ({ maximum, minimum, unit }: IntegerSetting): string =>
  maximum === undefined
    ? `${formatValue(unit, minimum)} or more`
    : `${formatValue(unit, minimum)} to ${formatValue(unit, maximum)}`

const integers = (settings: Readonly<Record<string, IntegerSetting>>): ReadonlyArray<string> => [
  row("setting", "what it is", "default", "allowed"),
  row("---", "---", "---", "---"),
  ...Object.entries(settings).map(([name, setting]) =>
    row(
      names(name),
      setting.text,
      setting.otherDefault ?? formatValue(setting.unit, setting.default),
      rangeOf(setting)
    )
  )
]

const switchRow = (name: SwitchName): string => row(names(name), switchSettings[name].text, "false")

/** The page from the tables of settings. */
export const configurationPage = (introduction: string): string =>
  [
    introduction.trimEnd(),
    "",
    "## The node",
    "",
    row("setting", "what it is", "default"),
    row("---", "---", "---"),
    row(names("nodeId"), nodeIdText, "none"),
    ...Object.entries(textSettings).map(([name, { form, otherDefault, text }]) =>
      row(names(name), `${text}. \`${form}\``, otherDefault)
    ),
    switchRow("unsafeNoFsync"),
    "",
    "## Certificates, callers and audit",
    "",
    "[security.md](security.md) says what they protect from, and how a running cluster comes to have them.",
    "",
    row("setting", "what it is", "default"),
    row("---", "---", "---"),
    ...Object.entries(choiceSettings).map(([name, { choices, otherDefault, text }]) =>
      row(names(name), `${text}. \`${choices.join("` `")}\``, otherDefault)
    ),
    ...Object.entries(pathSettings).map(([name, { form, otherDefault, text }]) =>
      row(names(name), `${text}. \`${form}\``, otherDefault)
    ),
    switchRow("insecure"),
    switchRow("auditStrict"),
    "",
    "## Export to a collector",
    "",
    "[metrics.md](metrics.md#otlp) and [tracing.md](tracing.md) say what is sent.",
    "",
    row("setting", "what it is", "default"),
    row("---", "---", "---"),
    ...Object.entries(otlpTextSettings).map(([name, { form, otherDefault, text }]) =>
      row(names(name), `${text}. \`${form}\``, otherDefault)
    ),
    "",
    ...integers(otlpIntegerSettings),
    "",
    "## Heartbeats and elections",
    "",
    ...integers(timingSettings),
    "",
    "## Limits",
    "",
    "They are fields of `limits` in a program. `docs/limits.md` says what else is bounded, and where each can be seen.",
    "",
    ...integers(limitSettings),
    ""
  ].join("\n")
