export { surroundings } from '#sim/surroundings.ts';
