"""The storefront service: releases on disk, two app servers, a load balancer, real traffic."""
