/** The numbers of `docs/limits.md` are those of the code: limits of the settings, and constants by their names. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "vitest"
import { defaultLimits } from "../../src/config/Limits.ts"

const root = join(import.meta.dirname, "../..")

const units: Readonly<Record<string, number>> = {
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  days: 86_400_000
}

/** What `64 MiB`, `1.5 s` or `4,096` is. */
const valueOf = (text: string): number => {
  const [, number = "", unit] = /^([\d,.]+)(?: (\w+))?/.exec(text) ?? []
  return Number(number.replaceAll(",", "")) * (unit === undefined ? 1 : units[unit] ?? 1)
}

const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => readFileSync(join(root, "src", path), "utf8"))

/** What a constant, a field or a default of that name is set to, in all sources. What is another name is looked up. */
const constantsOf = (name: string): ReadonlyArray<number> => {
  const set = new RegExp(`(?:\\bconst ${name} =|\\b${name}:|\\.${name} \\?\\?) ([\\w* ]+?)(?=[,;)\\n])`, "g")
  // Most sources do not have the name at all, which is found out sooner without the expression.
  return sources.filter((text) => text.includes(name)).flatMap((text) =>
    [...text.matchAll(set)].flatMap(([, value = ""]) => {
      if (/^[a-z]\w+$/i.test(value)) return value === name || value === "number" ? [] : constantsOf(value)
      const factors = value.split(" * ").map((factor) => Number(factor.replaceAll("_", "")))
      return [factors.reduce((product, factor) => product * factor, 1)]
    })
  )
}

const knownOf = (name: string): ReadonlyArray<number> =>
  name in defaultLimits ? [defaultLimits[name as keyof typeof defaultLimits]] : constantsOf(name)

const page = readFileSync(join(root, "docs/limits.md"), "utf8")

/** `name (value)`, with the name as code or not. A sum of two has a value of its own. */
const stated = [
  ...page.matchAll(
    /(?<![\w.]|\+ )`?((?:max|min|default|page|kept)[A-Z]\w+)`? \((\d[\d,.]*(?: (?:[KM]iB|ms|s|min|h|days)\b)?)/g
  )
]
  .map(([, name = "", value = ""]) => ({ name, value }))

it("states every limit as it is", () => {
  assert.isAbove(stated.length, 60)
  const wrong = stated.filter(({ name, value }) => !knownOf(name).includes(valueOf(value)))
  assert.deepEqual(wrong.map(({ name, value }) => `${name} (${value}) is ${knownOf(name).join(" or ")}`), [])
})

it("names every limit of the settings that is a bound on something", () => {
  const missing = Object.keys(defaultLimits).filter((name) => name.startsWith("max") && !page.includes(name))
  assert.deepEqual(missing, [])
})
