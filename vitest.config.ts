import { defineConfig } from "vitest/config"

/** `unit` runs in this process tree and in parallel; `cluster` starts real nodes and must have the cores to itself. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: ["test/cluster/**"],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 }
        }
      },
      {
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
