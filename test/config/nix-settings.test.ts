/** `deploy/nix/settings.json`, of which the NixOS module makes its options, has every setting. `npm run golden` writes it. */
import { assert, it } from "@effect/vitest"
import { readFileSync, writeFileSync } from "node:fs"
import {
  choiceSettings,
  integerSettings,
  nodeIdText,
  switchSettings,
  writtenSettings
} from "../../src/config/NodeSettings.ts"
import type { IntegerSetting } from "../../src/config/Setting.ts"
import { formatValue, variableOf } from "../../src/config/Setting.ts"
import { nodeVariables } from "../../src/config/Variables.ts"

const file = "deploy/nix/settings.json"

const integer = ({ maximum = Number.MAX_SAFE_INTEGER, minimum, text }: Omit<IntegerSetting, "unit" | "default">) => ({
  kind: "integer",
  minimum,
  maximum,
  text
})

const mapped = <A, B>(settings: Readonly<Record<string, A>>, each: (setting: A) => B) =>
  Object.entries(settings).map(([name, setting]) => [name, { variable: variableOf(name), ...each(setting) }] as const)

const table = Object.fromEntries<Readonly<Record<string, unknown>>>([
  ...mapped({ nodeId: { minimum: 1, text: nodeIdText } }, (setting) => ({ ...integer(setting), default: "none" })),
  ...mapped(writtenSettings, ({ form, otherDefault, text }) => ({
    kind: "text",
    text: `${text}. ${form}`,
    default: otherDefault
  })),
  ...mapped(choiceSettings, ({ choices, otherDefault, text }) => ({
    kind: "choice",
    choices,
    text,
    default: otherDefault
  })),
  ...mapped(switchSettings, ({ text }) => ({ kind: "switch", text, default: "false" })),
  ...mapped<IntegerSetting, object>(integerSettings, (setting) => ({
    ...integer(setting),
    default: setting.otherDefault ?? formatValue(setting.unit, setting.default)
  }))
])

it("is made from the tables of settings", () => {
  const text = `${JSON.stringify(table, undefined, 2)}\n`
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, text)
  assert.strictEqual(readFileSync(file, "utf8"), text)
})

it("has all that a node reads", () => {
  assert.sameMembers(Object.values(table).map(({ variable }) => variable), [...nodeVariables])
})
