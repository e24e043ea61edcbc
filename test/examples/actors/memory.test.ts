/** The examples on Effect's memory back ends: they are right before any database comes in. */
import { layer } from "../../../examples/actors/Memory.ts"
import { suite } from "./Suite.ts"

suite("Effect's memory", layer)
