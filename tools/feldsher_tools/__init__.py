"""What development, the demo and the tests share: services, certificates, the whole stack."""
