import { availableParallelism } from "node:os"
import { join } from "node:path"
import { defineConfig } from "vitest/config"
import { mutants, mutantVariable, mutate } from "./test/simulation/mutants/Mutants.ts"

/** The examples import the package by name; in a test process they get its sources, like the tests themselves. */
const alias = Object.fromEntries(
  ["actors", "client", "machine", "testing"].map((
    name
  ) => [`flaredb/${name}`, join(import.meta.dirname, `src/${name}/index.ts`)])
)
const resolve = { alias: { ...alias, flaredb: join(import.meta.dirname, "src/index.ts") } }

/** Puts the bug that the environment names into the sources: `npm run mutants` asks for it, to see that a test finds it. */
const mutant = mutants.find(({ name }) => name === process.env[mutantVariable])
const source = join(import.meta.dirname, "src/")
const withMutant = mutant === undefined ? [] : [{
  name: "mutant",
  enforce: "pre" as const,
  transform: (code: string, id: string) => id.startsWith(source) ? mutate(mutant, id.slice(source.length), code) : code
}]

/** `unit` runs in this process tree and in parallel; `cluster` starts real nodes and must have the cores to itself. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        plugins: withMutant,
        test: {
          name: "unit",
          // Vitest keeps transformed modules between runs, and does not know that a mutant changed one.
          ...(mutant === undefined ? {} : { fsModuleCache: false }),
          setupFiles: ["test/Comparison.ts"],
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**"],
          testTimeout: 60_000,
          // Vitest keeps one core for itself, which of two is half: many tests wait for a process that they started.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 0 }
        }
      },
      {
        resolve,
        test: {
          name: "cluster",
          setupFiles: ["test/Comparison.ts"],
          include: ["test/cluster/**/*.test.ts"],
          globalSetup: ["test/cluster/build.ts"],
          testTimeout: 180_000,
          hookTimeout: 60_000,
          fileParallelism: false,
          pool: "forks",
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
