/**
 * An order as a workflow: reserve the goods, charge the card, ship. An order that cannot be shipped gives back what the
 * steps before it took, last step first, and the workflow resumes where it was when its runner dies.
 *
 * Each step is an activity: once its result is stored, it does not run again. A crash after the step and before its
 * result is stored repeats the step, so the shop gets the order's number with each, and does a thing once for it.
 */
import { Context, Effect, Schema } from "effect"
import { Activity, Workflow } from "effect/workflow"

export class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { item: Schema.String }) {}
export class CardDeclined extends Schema.TaggedError<CardDeclined>()("CardDeclined", { cents: Schema.Int }) {}
export class NoCourier extends Schema.TaggedError<NoCourier>()("NoCourier", { to: Schema.String }) {}

/** The systems around: each call is idempotent by the order's number, as those of real ones are. */
export class Shop extends Context.Service<Shop, {
  readonly reserve: (order: string, item: string) => Effect.Effect<void, OutOfStock>
  readonly release: (order: string, item: string) => Effect.Effect<void>
  readonly charge: (order: string, cents: number) => Effect.Effect<void, CardDeclined>
  readonly refund: (order: string, cents: number) => Effect.Effect<void>
  readonly ship: (order: string, to: string) => Effect.Effect<string, NoCourier>
}>()("example/Shop") {}

export const Order = Workflow.make("Order", {
  payload: { order: Schema.String, item: Schema.String, cents: Schema.Int, to: Schema.String },
  success: Schema.Struct({ tracking: Schema.String }),
  error: Schema.Union([OutOfStock, CardDeclined, NoCourier]),
  idempotencyKey: ({ order }) => order
})

/** The workflow of whichever runner this layer is part of. */
export const Orders = Order.toLayer(Effect.fnUntraced(function*({ cents, item, order, to }) {
  const shop = yield* Shop

  yield* Activity.make({ name: "Reserve", error: OutOfStock, execute: shop.reserve(order, item) }).pipe(
    Order.withCompensation(() => Activity.make({ name: "Release", execute: shop.release(order, item) }))
  )
  yield* Activity.make({ name: "Charge", error: CardDeclined, execute: shop.charge(order, cents) }).pipe(
    Order.withCompensation(() => Activity.make({ name: "Refund", execute: shop.refund(order, cents) }))
  )
  const tracking = yield* Activity.make({
    name: "Ship",
    success: Schema.String,
    error: NoCourier,
    execute: shop.ship(order, to)
  })
  return { tracking }
}))

/** Places an order, or joins the same one: says where the parcel is, or why there is none. */
export const place = (order: typeof Order.payloadSchema.Type) => Order.execute(order)
