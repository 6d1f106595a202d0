-- Devices that measure more than pressures and cardiograms.
ALTER TABLE cloud.device DROP CONSTRAINT device_kind_check;
ALTER TABLE cloud.device ADD CONSTRAINT device_kind_check CHECK (
    kind IN ('cuff', 'cardiograph', 'oximeter', 'thermometer', 'scale', 'glucometer', 'belt', 'unknown'));
