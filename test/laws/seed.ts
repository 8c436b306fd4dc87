/**
 * The seed of every property test. By default it is always the same, so that what passed here passes anywhere; `npm run laws` plays the
 * same laws from as many other seeds as one has time for.
 */
import { configureGlobal } from 'fast-check';

const given = process.env['PLIMSOLL_LAW_SEED'];
const seed = given === undefined ? 1 : Number(given);
if (!Number.isSafeInteger(seed)) throw new RangeError(`PLIMSOLL_LAW_SEED must be a whole number, not "${given}"`);
configureGlobal({ seed });
