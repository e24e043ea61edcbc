import { join } from "node:path"
import { defineConfig } from "vitest/config"

/** The examples import the package by name; in a test process they get its sources, like the tests themselves. */
const alias = Object.fromEntries(
  ["client", "machine", "testing"].map((name) => [`flaredb/${name}`, join(import.meta.dirname, `src/${name}/index.ts`)])
)
const resolve = { alias: { ...alias, flaredb: join(import.meta.dirname, "src/index.ts") } }

/** `unit` runs in this process tree and in parallel; `cluster` starts real nodes and must have the cores to itself. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**"],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 }
        }
      },
      {
        resolve,
        test: {
          name: "cluster",
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
