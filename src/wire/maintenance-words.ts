/** Words and limits of a maintenance, without the schemas: the CLI's help needs them. */
export { type MaintenanceEnd, maintenanceEnds, maintenanceLimits } from '#core/model/maintenance.ts';
